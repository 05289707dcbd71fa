// SPDX-License-Identifier: Apache-2.0
//
// The guest's agent as a program of the host, for tests: it serves the connection that is descriptor 3.

#include "../init/agent.h"

__attribute__((noreturn, used)) static void start(long *stack) {
    (void)stack;
    struct agent_slot *slot = slots;
    slot->memory = make_memory();
    if (!slot->memory) sys_exit(1);
    CALL(arch_prctl, 0x1002 /* ARCH_SET_FS */, slot->memory->thread_pointer, 0, 0, 0);
    take_slot(slot);
    serve_host(3);
    sys_exit(0);
}
