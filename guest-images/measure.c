// SPDX-License-Identifier: Apache-2.0
//
// Loaded by measure.py before a VMM (LD_PRELOAD): keeps the number of guest instructions that KVM has interpreted, one for each
// vCPU, in the file that MEASURE_FILE names. Works with every VMM that calls the C library's ioctl.
//
// Authority: the kernel's Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_VCPUS = 64, STATISTIC_CAPACITY = 1024 };
static struct {
    int vcpu, statistics;
    off_t offset;
} vcpus[MAX_VCPUS];
static int vcpu_count;
static volatile uint64_t *counts;

typedef int (*ioctl_function)(int, unsigned long, ...);

// Finds the offset of a statistic in the descriptor's data; -1 where KVM has none of that name.
static off_t offset_of(int statistics, const char *name) {
    struct kvm_stats_header header;
    if (pread(statistics, &header, sizeof header, 0) != sizeof header) return -1;
    size_t stride = sizeof(struct kvm_stats_desc) + header.name_size;
    char entry[STATISTIC_CAPACITY];
    if (stride > sizeof entry) return -1;
    for (uint32_t i = 0; i < header.num_desc; i++) {
        if (pread(statistics, entry, stride, header.desc_offset + i * stride) != (ssize_t)stride) return -1;
        struct kvm_stats_desc *statistic = (void *)entry;
        if (strncmp(statistic->name, name, header.name_size) == 0) return header.data_offset + statistic->offset;
    }
    return -1;
}

static void add_vcpu(ioctl_function real, int vcpu) {
    const char *path = getenv("MEASURE_FILE");
    if (!counts && path) {
        int file = open(path, O_RDWR | O_CLOEXEC);
        void *memory = mmap(NULL, MAX_VCPUS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (memory != MAP_FAILED) counts = memory;
        close(file);
    }
    int statistics = real(vcpu, KVM_GET_STATS_FD, NULL);
    if (!counts || statistics < 0 || vcpu_count == MAX_VCPUS) return;
    off_t offset = offset_of(statistics, "insn_emulation");
    if (offset < 0) return;
    vcpus[vcpu_count].vcpu = vcpu;
    vcpus[vcpu_count].statistics = statistics;
    vcpus[vcpu_count].offset = offset;
    vcpu_count++;
}

int ioctl(int descriptor, unsigned long request, ...) {
    static ioctl_function real;
    if (!real) real = (ioctl_function)dlsym(RTLD_NEXT, "ioctl");
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int result = real(descriptor, request, argument);
    if (request == KVM_CREATE_VCPU && result >= 0) add_vcpu(real, result);
    if (request == KVM_RUN)
        for (int i = 0; i < vcpu_count; i++) {
            uint64_t count;
            if (vcpus[i].vcpu == descriptor && pread(vcpus[i].statistics, &count, sizeof count, vcpus[i].offset) == sizeof count)
                counts[i] = count;
        }
    return result;
}
