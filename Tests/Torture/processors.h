// SPDX-License-Identifier: Apache-2.0
//
// The processors of the hostile guest: their way to privilege level 3, and the start of the second one. Part of hostile-guest.c.

#pragma once

enum {
    local_apic = 0xfee00000,
    trampoline = 0x4000,          // the second processor's first instructions, below 1 MiB
};

u8 stacks[2][16384], kernel_stacks[2][16384];

// An undefined instruction brings a program to the kernel's level, which alone may use ports where KVM interprets kernels:
// there its instructions in `rbx` are called, which keep `rax`, `rcx`, `rdx`, `rsi` and `rdi` for themselves.
__asm__("kernel_entry:\n"
        "    call *%rbx\n"
        "    addq $2, (%rsp)\n"
        "    iretq\n");
extern const u8 kernel_entry[];

static void kernel_does(const u8 *instructions)
{
    __asm__ volatile("ud2" ::"b"(instructions) : "rax", "rcx", "rdx", "rsi", "rdi", "memory");
}

// Null, kernel code and data, user data and code, and a task of two entries for each processor.
static u64 segments[9] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff};
static u64 gates[2 * 7];          // the last one is for #UD
static struct __attribute__((packed)) {
    u32 reserved;
    u64 kernel_stack;
    u8 rest[92];
} tasks[2];

struct __attribute__((packed)) table_pointer {
    u16 limit;
    u64 address;
};

// Goes on at privilege level 3, where a KVM that interprets kernels runs programs natively.
static void leave_kernel(u64 processor, void (*program)(void))
{
    tasks[processor].kernel_stack = (u64)kernel_stacks[processor] + sizeof *kernel_stacks;
    u64 task = (u64)&tasks[processor];
    segments[5 + 2 * processor] = (task & 0xffffff) << 16 | 0x0000890000000000 | (sizeof *tasks - 1);
    segments[6 + 2 * processor] = task >> 32;
    gates[12] = ((u64)kernel_entry & 0xffff0000) << 32 | 0x00008e0000080000 | ((u64)kernel_entry & 0xffff);
    gates[13] = (u64)kernel_entry >> 32;
    __asm__ volatile("lgdt %0\n"
                     "lidt %1\n"
                     "ltr %w2\n"
                     "pushq $0x1b\n"      // user data
                     "pushq %3\n"
                     "pushq $2\n"         // no interrupts
                     "pushq $0x23\n"      // user code
                     "pushq %4\n"
                     "iretq" ::"m"((struct table_pointer){sizeof segments - 1, (u64)segments}),
                     "m"((struct table_pointer){sizeof gates - 1, (u64)gates}), "r"((u32)(0x28 + 16 * processor)),
                     "r"((u64)stacks[processor] + sizeof *stacks - 8), "r"(program)
                     : "memory");
    __builtin_unreachable();
}

// The second processor's way from real to long mode: this program's page tables and a GDT in the trampoline's page.
__asm__(".section .rodata\n"
        ".code16\n"
        "trampoline_start:\n"
        "    cli\n"
        "    movw %cs, %ax\n"
        "    movw %ax, %ds\n"
        "    lgdtl pointer - trampoline_start\n"
        "    movl $0x20, %eax\n"  // PAE
        "    movl %eax, %cr4\n"
        "    movl $0x9000, %eax\n"  // X86Layout.pageTables
        "    movl %eax, %cr3\n"
        "    movl $0xc0000080, %ecx\n"  // EFER.LME
        "    rdmsr\n"
        "    orl $0x100, %eax\n"
        "    wrmsr\n"
        "    movl $0x80000001, %eax\n"  // PG and PE
        "    movl %eax, %cr0\n"
        "    ljmpl $8, $0x4000 + long_mode - trampoline_start\n"
        ".code64\n"
        "long_mode:\n"
        "    movl $16, %eax\n"
        "    movl %eax, %ds\n"
        "    movl %eax, %es\n"
        "    movl %eax, %ss\n"
        "    movq $kernel_stacks + 32768, %rsp\n"
        "    movq $second_main, %rax\n"
        "    jmp *%rax\n"
        ".balign 8\n"
        "table: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff\n"
        "pointer: .word 23\n"
        "    .long 0x4000 + table - trampoline_start\n"
        "trampoline_end:\n"
        ".previous\n");
extern const u8 trampoline_start[], trampoline_end[];

static void start_second(void)
{
    for (const u8 *from = trampoline_start; from < trampoline_end; from++)
        ((volatile u8 *)trampoline)[from - trampoline_start] = *from;
    write32(local_apic + 0xf0, 0x1ff);
    write32(local_apic + 0x310, 1 << 24);
    write32(local_apic + 0x300, 0x4500);
    write32(local_apic + 0x310, 1 << 24);
    write32(local_apic + 0x300, 0x4600 | trampoline >> 12);
}
