// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <stdlib.h>
#include <unistd.h>

static int argument_count;
static char *const *argument_vector;

// Before the constructors of the Swift runtime: 101 is the first priority that is not the C library's own.
__attribute__((constructor(101))) static void look_at_start(int count, char **arguments) {
    // Swift finds its arguments by a look at /proc/self/maps, which a jail may lack.
    argument_count = count;
    argument_vector = arguments;
    // Without /proc, the runtime of a static program cannot tell where its program is, and aborts before main: it looks for
    // the program that writes backtraces. A jail has none.
    if (access("/proc/self/exe", F_OK) < 0) setenv("SWIFT_BACKTRACE", "enable=no,swift-backtrace=none", 0);
}

int chost_argument_count(void) { return argument_count; }

const char *chost_argument(int index) { return index < argument_count ? argument_vector[index] : NULL; }
