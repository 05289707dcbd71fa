// SPDX-License-Identifier: Apache-2.0
//
// A static program that says hello: at once as a process or in a container; as the first process of a machine, when it
// sees that the machine was saved and goes on; or again and again. It waits in user mode, which runs natively on any host.

#include <stdint.h>

static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static uint64_t counter(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

__attribute__((noreturn)) void _start(void) {
    enum { WRITE = 1, ACCESS = 21, PAUSE = 34, EXIT = 60 };
    int is_machine = call(ACCESS, (long)"/hello-waiting", 0, 0) == 0;
    if (call(ACCESS, (long)"/hello-writing", 0, 0) == 0)
        for (;;) call(WRITE, 1, (long)"hello\n", 6);
    // A second or more between two looks: nothing but a restore takes so long.
    if (is_machine)
        for (uint64_t last = counter(), now; (now = counter()) - last < 4000000000u; last = now) {}
    call(WRITE, 1, (long)"hello\n", 6);
    while (is_machine) call(PAUSE, 0, 0, 0);
    call(EXIT, 0, 0, 0);
    __builtin_unreachable();
}
