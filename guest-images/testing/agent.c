// SPDX-License-Identifier: Apache-2.0
//
// The guest's agent as a program of the host, for tests: it serves the connection that is descriptor 3.

#include "../init/agent.h"

__attribute__((noreturn, used)) static void start(long *stack) {
    (void)stack;
    serve_host(3);
}
