// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

// The first instructions of an optimised program, by `--entry` in the Makefile. `rdx` is the C library's.
__asm__(".pushsection .text.chost_entry, \"ax\", @progbits\n"
        ".globl chost_entry\n"
        ".type chost_entry, @function\n"
        "chost_entry:\n"
        "    push %rdx\n"
        "    push %rdx\n"
        "    call chost_populate_relocated\n"
        "    pop %rdx\n"
        "    pop %rdx\n"
        "    jmp _start\n"
        ".size chost_entry, . - chost_entry\n"
        ".popsection\n");

/// Has the kernel make the pages from `start` to `end`, without the C library, which may not be relocated yet. Kernels before 5.14 cannot,
/// and each page comes when it is touched.
static inline void populate(uintptr_t start, uintptr_t end) {
    start &= ~(uintptr_t)4095;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_madvise), "D"(start), "S"(end - start), "d"(MADV_POPULATE_WRITE)
                     : "rcx", "r11", "memory");
}

/// Makes the pages that the C library's relocation is about to write, each of them, before that takes 180 page faults.
__attribute__((used, visibility("hidden"), no_stack_protector)) void chost_populate_relocated(void) {
    extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));
    extern char data_start[] __attribute__((visibility("hidden"))), _edata[] __attribute__((visibility("hidden")));
    uintptr_t base = (uintptr_t)&__ehdr_start;
    const ElfW(Phdr) *header = (const ElfW(Phdr) *)(base + __ehdr_start.e_phoff);
    for (int index = 0; index < __ehdr_start.e_phnum; index++)
        if (header[index].p_type == PT_GNU_RELRO)
            populate(base + header[index].p_vaddr, base + header[index].p_vaddr + header[index].p_memsz);
    populate((uintptr_t)data_start, (uintptr_t)_edata);
}

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
    uintptr_t start = (uintptr_t)__bss_start;
    uintptr_t end = (uintptr_t)_NSConcreteStackBlock + 4 * 4096;
    if (end < start || end > (uintptr_t)_end) end = (uintptr_t)_end;
    populate(start, end);
}

const char *chost_argument(int index) { return index < argument_count ? argument_vector[index] : NULL; }
