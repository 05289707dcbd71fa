// SPDX-License-Identifier: Apache-2.0
//
// The least that a virtual machine monitor can do: one vCPU in 64-bit mode, a switch around KVM_RUN, three ports. It runs
// the guests of martlet-bench and is the floor that Martlet's own loop is measured against.
//
//     bare-kvm ELF
//
// Ports: 0x3f8 writes a byte to standard output, 0x3ff holds a byte, 0x501 ends the process with the byte written to it.

#include <elf.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MEMORY = 128 << 20,
    GDT = 0x500,
    PML4 = 0x9000,
    PDPT = 0xa000,
    PAGE_DIRECTORY = 0xb000,
    UART_DATA = 0x3f8,
    UART_SCRATCH = 0x3ff,
    EXIT_STATUS = 0x501,
};

static int check(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static void *map(size_t size, int flags, int fd, const char *what) {
    void *memory = mmap(NULL, size, fd < 0 || flags == MAP_SHARED ? PROT_READ | PROT_WRITE : PROT_READ, flags, fd, 0);
    check(memory == MAP_FAILED ? -1 : 0, what);
    return memory;
}

static uint64_t load(const char *path, uint8_t *ram) {
    struct stat status;
    int fd = check(open(path, O_RDONLY | O_CLOEXEC), path);
    check(fstat(fd, &status), path);
    const uint8_t *file = map((size_t)status.st_size, MAP_PRIVATE, fd, path);
    Elf64_Ehdr header;
    memcpy(&header, file, sizeof header);
    for (int i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, file + header.e_phoff + (size_t)i * sizeof segment, sizeof segment);
        if (segment.p_type != PT_LOAD) continue;
        if (segment.p_paddr > MEMORY || segment.p_filesz > MEMORY - segment.p_paddr) check(-1, "segment");
        memcpy(ram + segment.p_paddr, file + segment.p_offset, segment.p_filesz);
    }
    return header.e_entry;
}

static struct kvm_segment segment(uint8_t type, uint8_t is_long, uint16_t selector) {
    return (struct kvm_segment){.limit = 0xffffffff, .selector = selector, .present = 1, .type = type, .s = 1,
                                .l = is_long, .db = !is_long, .g = 1};
}

static void enter(int vcpu, uint8_t *ram, uint64_t entry) {
    const uint64_t gdt[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};
    memcpy(ram + GDT, gdt, sizeof gdt);
    *(uint64_t *)(ram + PML4) = PDPT | 3;
    *(uint64_t *)(ram + PDPT) = PAGE_DIRECTORY | 3;
    for (uint64_t i = 0; i < 512; i++) ((uint64_t *)(ram + PAGE_DIRECTORY))[i] = i << 21 | 0x83;
    struct kvm_sregs special;
    check(ioctl(vcpu, KVM_GET_SREGS, &special), "KVM_GET_SREGS");
    special.cr0 = 0x80050033;
    special.cr3 = PML4;
    special.cr4 = 0x20;
    special.efer = 0x500;
    special.gdt.base = GDT;
    special.gdt.limit = sizeof gdt - 1;
    special.cs = segment(11, 1, 0x10);
    special.ds = special.es = special.fs = special.gs = special.ss = segment(3, 0, 0x18);
    check(ioctl(vcpu, KVM_SET_SREGS, &special), "KVM_SET_SREGS");
    struct kvm_regs general = {.rflags = 2, .rip = entry, .rsp = 0x8ff0};
    check(ioctl(vcpu, KVM_SET_REGS, &general), "KVM_SET_REGS");
}

static void set_cpuid(int kvm, int vcpu) {
    static union {
        struct kvm_cpuid2 list;
        uint8_t room[sizeof(struct kvm_cpuid2) + 256 * sizeof(struct kvm_cpuid_entry2)];
    } cpuid = {.list = {.nent = 256}};
    check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
    check(ioctl(vcpu, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
}

static int run_until_exit(int vcpu, struct kvm_run *run) {
    uint8_t scratch = 0;
    for (;;) {
        check(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
        if (run->exit_reason != KVM_EXIT_IO) {
            fprintf(stderr, "bare-kvm: exit reason %u\n", run->exit_reason);
            return 1;
        }
        uint8_t *data = (uint8_t *)run + run->io.data_offset;
        for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
            int is_write = run->io.direction == KVM_EXIT_IO_OUT;
            switch (run->io.port) {
            case UART_DATA:
                if (is_write) check((int)write(1, data, 1), "write");
                break;
            case UART_SCRATCH:
                if (is_write) scratch = *data;
                else *data = scratch;
                break;
            case EXIT_STATUS:
                if (is_write) return *data;
                break;
            default:
                if (!is_write) memset(data, 0xff, run->io.size);
                break;
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s ELF\n", argv[0]);
        return 64;
    }
    int kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    int vm = check(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    // The same machine as Martlet's as far as KVM is concerned: what the kernel does for an exit depends on it.
    check(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
    check(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
    check(ioctl(vm, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");
    uint8_t *ram = map(MEMORY, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, "guest memory");
    madvise(ram, MEMORY, MADV_HUGEPAGE);
    struct kvm_userspace_memory_region slot = {.memory_size = MEMORY, .userspace_addr = (uint64_t)ram};
    check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
    int vcpu = check(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    size_t size = (size_t)check(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    struct kvm_run *run = map(size, MAP_SHARED, vcpu, "vCPU");
    set_cpuid(kvm, vcpu);
    enter(vcpu, ram, load(argv[1], ram));
    return run_until_exit(vcpu, run);
}
