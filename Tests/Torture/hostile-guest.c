// SPDX-License-Identifier: Apache-2.0

// A kernel that does what no driver does: it uses ports, registers and virtqueues at random, again and again, and then
// writes 0 to the exit-status port. Its command line says `seed=NUMBER ops=NUMBER cpus=NUMBER`.
//
// An operation is an instruction that uses a port (of a string's, all together), an access to a register, the set-up of a
// device, or a chain that a device gets. Most chains are such as a driver makes, because a device takes no more after a wrong one
// until it is reset: a guest of nothing but faults would mostly ask devices that do not listen.
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

static u32 read32(u64 address) { return *(volatile u32 *)address; }
static void write32(u64 address, u32 value) { *(volatile u32 *)address = value; }

#include "processors.h"

// MARK: - Chance

struct chance {
    u64 state, processor;
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

// Instructions that use ports, which `kernel_does` takes to the kernel's level: all at once, because the way there and each
// instruction of the kernel's takes many times as long as one of a program where KVM interprets kernels.
struct instructions {
    u8 *end;
};

static void put(struct instructions *program, u8 code, unsigned width, u64 value)
{
    *program->end++ = code;
    for (; width > 0; width--, value >>= 8) *program->end++ = value;
}

enum { to_a = 0xb8, to_c = 0xb9, to_d = 0xba, to_source = 0xbe, to_destination = 0xbf, repeated = 0xf3, wide = 0x66,
       in = 0xec, out = 0xee, in_string = 0x6c, out_string = 0x6e, back = 0xc3 };

static void put_port(struct instructions *program, u8 code, u16 port, unsigned width)
{
    put(program, to_d, 4, port);
    if (width == 2) put(program, wide, 0, 0);
    put(program, code + (width > 1), 0, 0);
}

static void use_port(struct chance *chance, struct instructions *program)
{
    u16 port = some_port(chance);
    unsigned width = 1u << below(chance, 3);
    if (port == 0x60 && one_in(chance, 2)) {
        // Commands that leave the lines of the processor alone, and data behind them.
        static const u8 commands[] = {0x20, 0x60, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xad, 0xae, 0xc0, 0xd0, 0xd2, 0xd3, 0xd4};
        put(program, to_a, 4, commands[below(chance, sizeof commands)]);
        put_port(program, out, 0x64, 1);
        return;
    }
    int writes = one_in(chance, 2) && !ends_machine(port, width);
    if (one_in(chance, 8)) {
        put(program, writes ? to_source : to_destination, 4, arena + below(chance, memory_end - arena - 0x10000));
        put(program, to_c, 4, 1 + below(chance, one_in(chance, 16) ? 300 : 8));
        put(program, to_d, 4, port);
        if (width == 2) put(program, wide, 0, 0);
        put(program, repeated, 1, (writes ? out_string : in_string) + (width > 1));
    } else {
        if (writes) put(program, to_a, 4, odd_number(chance));
        put_port(program, writes ? out : in, port, width);
    }
}

static u64 use_ports(struct chance *chance)
{
    static u8 space[2][64 * 24];
    struct instructions program = {space[chance->processor]};
    u64 count = 1 + below(chance, 63);
    for (u64 i = 0; i < count; i++) use_port(chance, &program);
    put(&program, back, 0, 0);
    kernel_does(space[chance->processor]);
    return count;
}

// MARK: - Registers

static u64 some_window(struct chance *chance)
{
    // Two windows behind the last device as well: there is nothing.
    return windows + below(chance, device_count + 2) * window_size;
}

static u64 use_register(struct chance *chance)
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
    return 1;
}

// MARK: - Queues

struct descriptor {
    u64 address;
    u32 length;
    u16 flags, next;
};

enum { queue_size = 256, queue_place = 0x10000, queues = 4, buffers = arena + (4 << 20) };
enum { network = 1, block = 2, entropy = 4, sockets = 19 };

struct device {
    u64 window;
    u32 kind, queue_count;
    struct queue {
        u64 place;                // the table, then what the driver writes, then what the device writes
        u16 size;
        u16 cursor;               // the next descriptor to use
    } queues[queues];
};

static struct device devices[32];

static volatile u16 *available(const struct queue *queue) { return (volatile u16 *)(queue->place + 0x4000); }
static volatile u16 *used(const struct queue *queue) { return (volatile u16 *)(queue->place + 0x8000); }

// Resets a device and offers it its queues, mostly as a driver should.
static u64 set_up(struct chance *chance, struct device *device)
{
    u64 base = device->window;
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
    for (u32 i = 0; i < device->queue_count; i++) {
        struct queue *queue = &device->queues[i];
        write32(base + 0x30, i);
        write32(base + 0x38, one_in(chance, 32) ? odd_number(chance) : queue->size);
        u64 parts[3] = {queue->place, (u64)available(queue), (u64)used(queue)};
        for (int part = 0; part < 3; part++) {
            u64 address = one_in(chance, 100) ? buffer_address(chance) : parts[part];
            static const u16 registers[] = {0x80, 0x90, 0xa0};
            write32(base + registers[part], address);
            write32(base + registers[part] + 4, address >> 32);
        }
        available(queue)[1] = used(queue)[1] = 0;
        write32(base + 0x44, 1);
    }
    write32(base + 0x70, 0xf);
    return 1;
}

// Whether the parts of a chain are for the device to read, to write, or first the one and then the other.
enum direction { reads = 1, writes = 2 };

static enum direction direction(const struct device *device, int queue)
{
    switch (device->kind) {
    case block: return reads | writes;
    case entropy: return writes;
    default: return queue % 2 ? reads : writes;
    }
}

// What a device looks at first, often something that it knows.
static void put_header(struct chance *chance, u32 kind, u32 *header)
{
    switch (kind) {
    case block: {
        static const u8 requests[] = {0, 0, 0, 1, 1, 1, 4, 8, 11, 13};
        header[0] = one_in(chance, 16) ? odd_number(chance) : requests[below(chance, sizeof requests)];
        *(u64 *)(header + 2) = one_in(chance, 16) ? odd_number(chance) : below(chance, 1 << 12);
        break;
    }
    case sockets:
        // struct virtio_vsock_hdr: from, to, ports, length, type and operation, flags, room.
        header[0] = 3;
        header[2] = 2;
        header[1] = header[3] = header[9] = 0;
        header[4] = below(chance, 8);
        header[5] = one_in(chance, 16) ? odd_number(chance) : below(chance, 8);
        header[6] = one_in(chance, 4) ? odd_number(chance) : below(chance, 4096);
        header[7] = (one_in(chance, 32) ? next(chance) : 1) | below(chance, 9) << 16;
        header[8] = below(chance, 4);
        header[9] = header[10] = odd_number(chance);
        break;
    default:
        // struct virtio_net_hdr
        for (int i = 0; i < 3; i++) header[i] = one_in(chance, 4) ? next(chance) : 0;
    }
}

// Makes a chain such as a driver makes; one in many has a fault. Returns its first descriptor.
static u16 make_chain(struct chance *chance, const struct device *device, struct queue *queue, enum direction direction)
{
    struct descriptor *table = (struct descriptor *)queue->place;
    u64 readable = direction & reads ? 1 + below(chance, 3) : 0, writable = direction & writes ? 1 + below(chance, 3) : 0;
    if (one_in(chance, 500)) readable += below(chance, queue_size);
    u64 count = readable + writable, fault = one_in(chance, 300) ? below(chance, count) : ~0UL;
    u16 head = queue->cursor, at = head;
    for (u64 part = 0; part < count; part++) {
        struct descriptor *descriptor = &table[at];
        u16 following = (at + 1) % queue->size;
        *descriptor = (struct descriptor){buffers + below(chance, memory_end - buffers - 0x4000),
                                          one_in(chance, 8) ? 1 + below(chance, 0x4000) : 512 * (1 + below(chance, 4)),
                                          (part + 1 < count) | (part >= readable) << 1, following};
        if (part == 0 && readable > 0) {
            descriptor->length = device->kind == block ? 16 : device->kind == sockets ? 44 : descriptor->length;
            put_header(chance, device->kind, (u32 *)descriptor->address);
        } else if (device->kind == block && part + 1 == count) {
            descriptor->length = 1;
        }
        if (part == fault) {
            switch (below(chance, 4)) {
            case 0: descriptor->address = buffer_address(chance); break;
            case 1: descriptor->length = buffer_length(chance); break;
            case 2: descriptor->flags = next(chance); break;
            default: descriptor->next = following = next(chance);
            }
        }
        at = following % queue->size;
    }
    queue->cursor = at;
    return head;
}

// Gives a device chains, mostly no more than there is room for, and rings the bell.
static u64 use_queue(struct chance *chance)
{
    struct device *device = &devices[below(chance, device_count)];
    int number = below(chance, device->queue_count);
    struct queue *queue = &device->queues[number];
    // After a fault a device waits for its reset.
    if (read32(device->window + 0x70) != 0xf) return 1 + set_up(chance, device);
    u16 outstanding = available(queue)[1] - used(queue)[1];
    u64 room = outstanding < queue->size ? queue->size - outstanding : 0, count = below(chance, 64);
    if (count > room) count = room;
    enum direction towards = one_in(chance, 200) ? reads | writes : direction(device, number);
    u16 index = available(queue)[1];
    for (u64 i = 0; i < count; i++) {
        u16 head = make_chain(chance, device, queue, towards);
        available(queue)[2 + (u16)(index + i) % queue->size] = one_in(chance, 1000) ? next(chance) : head;
    }
    available(queue)[0] = below(chance, 2);
    available(queue)[1] = index + (one_in(chance, 300) ? next(chance) : count);
    write32(device->window + 0x50, one_in(chance, 20) ? odd_number(chance) : (u64)number);
    return 2 + count;
}

static void run(u64 seed, u64 count, u64 processor)
{
    struct chance chance = {seed * 0x9e3779b97f4a7c15UL | 1, processor};
    for (u64 done = 0; done < count;) {
        switch (below(&chance, 64)) {
        case 0 ... 3: done += use_ports(&chance); break;
        case 4 ... 23: done += use_register(&chance); break;
        default: done += device_count > 0 ? use_queue(&chance) : use_ports(&chance);
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
    run(seed, operations, 0);
    while (processors_done < processors) __asm__ volatile("pause");
    u8 space[16];
    struct instructions end = {space};
    put(&end, to_a, 4, 0);
    put_port(&end, out, 0x501, 1);
    kernel_does(space);
}

static void second_program(void)
{
    run(seed ^ 0x5ec0bd, operations, 1);
    for (;;) __asm__ volatile("pause");
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
    struct chance chance = {seed | 1, 0};
    for (; device_count < 32; device_count++) {
        struct device *device = &devices[device_count];
        device->window = windows + (u64)device_count * window_size;
        if (read32(device->window) != 0x74726976) break;
        device->kind = read32(device->window + 8);
        for (u32 i = 0; i < queues; i++, device->queue_count++) {
            write32(device->window + 0x30, i);
            u32 most = read32(device->window + 0x34);
            if (most == 0) break;
            device->queues[i].place = arena + ((u64)device_count * queues + i) * queue_place;
            device->queues[i].size = most < queue_size ? most : queue_size;
        }
        set_up(&chance, device);
    }
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
