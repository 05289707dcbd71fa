// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

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

void chost_populate_data(void) {
    extern char __bss_start[], _end[];
    // Dispatch's variables, 12 KiB from here on, are the last that matter: the linker takes libraries in their order, and what
    // follows is Foundation, which comes with the parser of commands.
    extern char _NSConcreteStackBlock[] __attribute__((weak));
    uintptr_t start = (uintptr_t)__bss_start & ~(uintptr_t)4095;
    uintptr_t end = (uintptr_t)_NSConcreteStackBlock + 4 * 4096;
    if (end < start || end > (uintptr_t)_end) end = (uintptr_t)_end;
    // Kernels before 5.14 cannot, and each page comes when it is touched.
    madvise((void *)start, end - start, MADV_POPULATE_WRITE);
}

const char *chost_argument(int index) { return index < argument_count ? argument_vector[index] : NULL; }
