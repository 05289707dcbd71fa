// SPDX-License-Identifier: Apache-2.0

// A kernel that does what no driver does: it uses ports, registers and virtqueues at random, again and again, and then
// writes 0 to the exit-status port. Its command line says `seed=NUMBER ops=NUMBER cpus=NUMBER`.
//
// It spares what ends the machine by right (power, reset, pvpanic, the keyboard controller's commands for the processor's
// lines) and what would overwrite the program itself: buffers that a device writes lie above 16 MiB. The interrupt
// controllers are KVM's, not the monitor's, and are left alone.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

enum {
    arena = 16 << 20,             // where rings and buffers lie
    windows = 0xd0000000,         // the first virtio-mmio transport (X86Layout.virtioMMIO)
    window_size = 0x1000,
};

static u64 memory_end;            // of the guest's memory below the hole for devices
static int device_count;
static volatile u32 processors_done;

// MARK: - Accesses

static void out8(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static void out16(u16 port, u16 value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static void out32(u16 port, u32 value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
static void in(u16 port, unsigned width)
{
    u32 value;
    switch (width) {
    case 1: __asm__ volatile("inb %w1, %b0" : "=a"(value) : "Nd"(port)); break;
    case 2: __asm__ volatile("inw %w1, %w0" : "=a"(value) : "Nd"(port)); break;
    default: __asm__ volatile("inl %w1, %0" : "=a"(value) : "Nd"(port)); break;
    }
}

static u32 read32(u64 address) { return *(volatile u32 *)address; }
static void write32(u64 address, u32 value) { *(volatile u32 *)address = value; }

#include "processors.h"

// MARK: - Chance

struct chance {
    u64 state;
};

// xorshift64*
static u64 next(struct chance *chance)
{
    u64 x = chance->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    chance->state = x;
    return x * 0x2545f4914f6cdd1dUL;
}

static u64 below(struct chance *chance, u64 bound) { return (next(chance) >> 11) % bound; }
static int one_in(struct chance *chance, u64 n) { return below(chance, n) == 0; }

// A number as faults like them: small, near a power of two, or anything.
static u64 odd_number(struct chance *chance)
{
    switch (below(chance, 4)) {
    case 0: return below(chance, 300);
    case 1: return (1UL << below(chance, 64)) + below(chance, 5) - 2;
    case 2: return -below(chance, 300);
    default: return next(chance);
    }
}

// An address for a device to write to, or to read from: mostly memory, now and then its end, a hole, a device or nothing.
static u64 buffer_address(struct chance *chance)
{
    switch (below(chance, 16)) {
    case 0: return memory_end - below(chance, 0x2000);
    case 1: return windows + below(chance, 0x20000);
    case 2: return 0x100000000UL + odd_number(chance) % (1UL << 40);
    case 3: return ~0UL - below(chance, 0x10000);
    case 4: return memory_end + below(chance, 1UL << 32);
    default: return arena + below(chance, memory_end - arena);
    }
}

static u32 buffer_length(struct chance *chance)
{
    switch (below(chance, 8)) {
    case 0: return odd_number(chance);
    case 1: return 0;
    case 2: return below(chance, 1 << 20);
    case 3: return below(chance, 64);
    default: return 512 * (1 + below(chance, 16));
    }
}

// MARK: - Ports

static int ends_machine(u16 first, unsigned width)
{
    for (u32 port = first; port < (u32)first + width; port++)
        if (port == 0x64 || port == 0x92 || port == 0x501 || port == 0x505 || (port >= 0x600 && port < 0x604) || port == 0xcf9)
            return 1;
    return 0;
}

static u16 some_port(struct chance *chance)
{
    static const u16 known[] = {0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x60, 0x61, 0x64, 0x70, 0x71, 0x20, 0x21,
                                0xa0, 0xa1, 0x40, 0x42, 0x43, 0x4d0, 0x600, 0x601, 0x602, 0x603, 0x80, 0xcf8, 0xcfa, 0xcfc, 0xcfd,
                                0xcff, 0x501, 0x505, 0xffff};
    return one_in(chance, 6) ? next(chance) : known[below(chance, sizeof known / sizeof *known)];
}

static void use_port(struct chance *chance)
{
    u16 port = some_port(chance);
    unsigned width = 1u << below(chance, 3);
    if (port == 0x60 && one_in(chance, 2)) {
        // Commands that leave the lines of the processor alone, and data behind them.
        static const u8 commands[] = {0x20, 0x60, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xad, 0xae, 0xc0, 0xd0, 0xd2, 0xd3, 0xd4};
        out8(0x64, commands[below(chance, sizeof commands)]);
        return;
    }
    int writes = one_in(chance, 2) && !ends_machine(port, width);
    // The interrupt controller and the timer are KVM's; a mode of theirs that stops the machine proves nothing here.
    if (writes && one_in(chance, 8)) {
        u64 from = arena + below(chance, memory_end - arena - 0x10000), count = 1 + below(chance, 300);
        switch (width) {
        case 1: __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(port) : "memory"); break;
        case 2: __asm__ volatile("rep outsw" : "+S"(from), "+c"(count) : "d"(port) : "memory"); break;
        default: __asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(port) : "memory"); break;
        }
    } else if (writes) {
        u32 value = odd_number(chance);
        if (width == 1) out8(port, value);
        else if (width == 2) out16(port, value);
        else out32(port, value);
    } else if (one_in(chance, 8)) {
        u64 to = arena + below(chance, memory_end - arena - 0x10000), count = 1 + below(chance, 300);
        switch (width) {
        case 1: __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(port) : "memory"); break;
        case 2: __asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(port) : "memory"); break;
        default: __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory"); break;
        }
    } else {
        in(port, width);
    }
}

// MARK: - Registers

static u64 some_window(struct chance *chance)
{
    // Two windows behind the last device as well: there is nothing.
    return windows + below(chance, device_count + 2) * window_size;
}

static void use_register(struct chance *chance)
{
    u64 address = some_window(chance);
    address += one_in(chance, 8) ? below(chance, window_size - 8) : below(chance, 2) ? below(chance, 0x40) * 4 : 0x100 + below(chance, 0x60);
    u64 value = odd_number(chance);
    switch (below(chance, 8)) {
    case 0: *(volatile u8 *)address = value; break;
    case 1: *(volatile u16 *)address = value; break;
    case 2: *(volatile u32 *)address = value; break;
    case 3: *(volatile u64 *)address = value; break;
    case 4: (void)*(volatile u8 *)address; break;
    case 5: (void)*(volatile u16 *)address; break;
    case 6: (void)*(volatile u32 *)address; break;
    default: (void)*(volatile u64 *)address; break;
    }
}

// MARK: - Queues

struct descriptor {
    u64 address;
    u32 length;
    u16 flags, next;
};

enum { queue_size = 256, queue_place = 0x10000, queues = 4 };

// Rings of a queue of a device: the table, then what the driver writes, then what the device writes.
static u64 ring_place(int device, int queue) { return arena + ((u64)device * queues + queue) * queue_place; }

// Resets a device and offers it its queues, mostly as a driver should.
static void set_up(struct chance *chance, int device)
{
    u64 base = windows + (u64)device * window_size;
    write32(base + 0x70, 0);
    write32(base + 0x70, 1);
    write32(base + 0x70, 3);
    for (u32 word = 0; word < 2; word++) {
        write32(base + 0x14, word);
        u32 offered = read32(base + 0x10);
        write32(base + 0x24, word);
        write32(base + 0x20, one_in(chance, 2) ? offered : word == 1 ? 1 | (offered & next(chance)) : offered & next(chance));
    }
    write32(base + 0x70, 0xb);
    for (int queue = 0; queue < queues; queue++) {
        u64 place = ring_place(device, queue);
        write32(base + 0x30, queue);
        u32 most = read32(base + 0x34);
        write32(base + 0x38, one_in(chance, 8) ? odd_number(chance) : most < queue_size ? most : queue_size);
        u64 parts[3] = {place, place + 0x4000, place + 0x8000};
        for (int part = 0; part < 3; part++) {
            u64 address = one_in(chance, 20) ? buffer_address(chance) : parts[part];
            static const u16 registers[] = {0x80, 0x90, 0xa0};
            write32(base + registers[part], address);
            write32(base + registers[part] + 4, address >> 32);
        }
        *(volatile u16 *)(place + 0x4002) = 0;
        write32(base + 0x44, 1);
    }
    write32(base + 0x70, 0xf);
}

// Makes chains, right and wrong ones, and rings the bell.
static void use_queue(struct chance *chance)
{
    int device = below(chance, device_count), queue = below(chance, queues);
    struct descriptor *table = (struct descriptor *)ring_place(device, queue);
    u16 head = below(chance, queue_size), at = head;
    for (u64 left = 1 + below(chance, one_in(chance, 10) ? 256 : 5); left > 0; left--) {
        u16 following = one_in(chance, 30) ? next(chance) : (u64)(at + 1) % queue_size;
        table[at].address = buffer_address(chance);
        table[at].length = buffer_length(chance);
        table[at].flags = (left > 1 || one_in(chance, 50)) | below(chance, 2) << 1 | one_in(chance, 20) << 2;
        table[at].next = following;
        // The header of a block request, often one that exists.
        if (at == head && table[at].address >= arena && table[at].address < memory_end - 64 && !one_in(chance, 4)) {
            table[at].length = 16;
            table[at].flags &= ~2;
            u32 *header = (u32 *)table[at].address;
            header[0] = one_in(chance, 4) ? odd_number(chance) : below(chance, 16);
            header[1] = next(chance);
            *(u64 *)(header + 2) = one_in(chance, 4) ? odd_number(chance) : below(chance, 1 << 12);
        }
        at = following % queue_size;
    }
    volatile u16 *available = (volatile u16 *)((u64)table + 0x4000);
    u64 count = one_in(chance, 10) ? below(chance, 300) : 1;
    for (u64 i = 0; i < count; i++)
        available[2 + (u16)(available[1] + i) % queue_size] = one_in(chance, 30) ? next(chance) : head;
    available[0] = below(chance, 2);
    available[1] += one_in(chance, 40) ? next(chance) : count;
    write32(windows + (u64)device * window_size + 0x50, one_in(chance, 20) ? odd_number(chance) : (u64)queue);
}

// An undefined instruction brings the program to the kernel's level, which alone may use ports here, and `ask_entry` back.
static void ask_for_port(struct chance *chance) { __asm__ volatile("ud2" ::"D"(chance) : "memory"); }

static void run(u64 seed, u64 count)
{
    struct chance chance = {seed * 0x9e3779b97f4a7c15UL | 1};
    for (u64 done = 0; done < count; done++) {
        switch (below(&chance, 16)) {
        case 0 ... 3: ask_for_port(&chance); break;
        case 4 ... 6: use_register(&chance); break;
        case 7:
            if (device_count > 0 && one_in(&chance, 8)) {
                set_up(&chance, below(&chance, device_count));
                break;
            }
            // fallthrough
        default:
            if (device_count > 0) use_queue(&chance);
            else ask_for_port(&chance);
        }
    }
    __atomic_fetch_add(&processors_done, 1, __ATOMIC_SEQ_CST);
}

// MARK: - Start and end

static u64 number(const char *line, const char *name, u64 otherwise)
{
    for (; *line; line++) {
        const char *at = line, *wanted = name;
        while (*wanted && *at == *wanted) at++, wanted++;
        if (*wanted) continue;
        u64 value = 0;
        for (; *at >= '0' && *at <= '9'; at++) value = value * 10 + (u64)(*at - '0');
        return value;
    }
    return otherwise;
}

static u64 seed, operations, processors;

static void first_program(void)
{
    run(seed, operations);
    while (processors_done < processors) __asm__ volatile("pause");
    // Not a chance: the end.
    ask_for_port(0);
}

static void second_program(void)
{
    run(seed ^ 0x5ec0bd, operations);
    for (;;) __asm__ volatile("pause");
}

__attribute__((used)) void answer(struct chance *chance)
{
    if (chance) use_port(chance);
    else out8(0x501, 0);
}

__attribute__((used)) void second_main(void) { leave_kernel(1, second_program); }

__attribute__((used)) void main(const u8 *boot_parameters)
{
    const char *line = (const char *)(u64) * (const u32 *)(boot_parameters + 0x228);
    seed = number(line, "seed=", 1);
    operations = number(line, "ops=", 1000);
    processors = number(line, "cpus=", 1);
    // The last entry of RAM below the hole (struct boot_e820_entry: address, size, type).
    for (int i = 0; i < boot_parameters[0x1e8]; i++) {
        const u8 *entry = boot_parameters + 0x2d0 + i * 20;
        u64 end = *(const u64 *)entry + *(const u64 *)(entry + 8);
        if (*(const u32 *)(entry + 16) == 1 && end <= 0xc0000000 && end > memory_end) memory_end = end;
    }
    while (device_count < 32 && read32(windows + (u64)device_count * window_size) == 0x74726976) device_count++;
    for (int device = 0; device < device_count; device++) set_up(&(struct chance){seed | 1}, device);
    // PML4, PDPT and four page directories, open to level 3 (X86Layout.pageTables).
    for (u64 entry = 0x9000; entry < 0x9000 + 6 * 0x1000; entry += 8)
        if (*(u64 *)entry & 1) *(u64 *)entry |= 4;
    __asm__ volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" ::: "rax", "memory");
    if (processors > 1) start_second();
    leave_kernel(0, first_program);
}

__asm__(".section .text.start, \"ax\"\n"
        ".globl _start\n"
        "_start:\n"
        "    movq %rsi, %rdi\n"
        "    movq $kernel_stacks + 16384, %rsp\n"
        "    call main\n"
        ".previous\n");
