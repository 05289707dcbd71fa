// SPDX-License-Identifier: Apache-2.0

#include "CKVM.h"

#include <cpuid.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// What Swift lays out or points into; a change here would be a silent corruption there.
_Static_assert(sizeof(struct kvm_cpuid_entry2) == 40, "kvm_cpuid_entry2");
_Static_assert(offsetof(struct kvm_run, immediate_exit) == 1, "kvm_run.immediate_exit");
_Static_assert(sizeof(struct kvm_xsave) == CKVM_XSAVE_SIZE, "kvm_xsave");
// What stands in snapshots: their format gives each structure this size.
_Static_assert(sizeof(struct kvm_regs) == 144, "kvm_regs");
_Static_assert(sizeof(struct kvm_sregs) == 312, "kvm_sregs");
_Static_assert(sizeof(struct kvm_xcrs) == 392, "kvm_xcrs");
_Static_assert(sizeof(struct kvm_debugregs) == 128, "kvm_debugregs");
_Static_assert(sizeof(struct kvm_lapic_state) == 1024, "kvm_lapic_state");
_Static_assert(sizeof(struct kvm_vcpu_events) == 64, "kvm_vcpu_events");
_Static_assert(sizeof(struct kvm_msr_entry) == 16, "kvm_msr_entry");
_Static_assert(sizeof(struct kvm_irqchip) == 520, "kvm_irqchip");
_Static_assert(sizeof(struct kvm_pit_state2) == 112, "kvm_pit_state2");
_Static_assert(sizeof(struct kvm_clock_data) == 48, "kvm_clock_data");

// The kernel's structures end in flexible arrays; these give them room.
union cpuid_list {
    struct kvm_cpuid2 header;
    uint8_t room[sizeof(struct kvm_cpuid2) + CKVM_CPUID_CAPACITY * sizeof(struct kvm_cpuid_entry2)];
};

union one_msr {
    struct kvm_msrs header;
    uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

union msr_list {
    struct kvm_msrs header;
    uint8_t room[sizeof(struct kvm_msrs) + CKVM_MSR_CAPACITY * sizeof(struct kvm_msr_entry)];
};

union msr_index_list {
    struct kvm_msr_list header;
    uint8_t room[sizeof(struct kvm_msr_list) + CKVM_MSR_CAPACITY * sizeof(uint32_t)];
};

int ckvm_get_supported_cpuid(int kvm, struct kvm_cpuid_entry2 *entries) {
    union cpuid_list list = {.header = {.nent = CKVM_CPUID_CAPACITY}};
    int result = ckvm_result(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &list));
    if (result < 0) return result;
    memcpy(entries, list.header.entries, list.header.nent * sizeof *entries);
    return (int)list.header.nent;
}

int ckvm_set_cpuid(int vcpu, const struct kvm_cpuid_entry2 *entries, uint32_t count) {
    union cpuid_list list = {.header = {.nent = count}};
    if (count > CKVM_CPUID_CAPACITY) return -E2BIG;
    memcpy(list.header.entries, entries, count * sizeof *entries);
    return ckvm_result(ioctl(vcpu, KVM_SET_CPUID2, &list));
}

// KVM_GET_MSRS and KVM_SET_MSRS return the number of MSRs that they handled: 0 says that this one is unknown or refused.
int ckvm_get_msr(int vcpu, uint32_t index, uint64_t *value) {
    union one_msr msr = {.header = {.nmsrs = 1}};
    msr.header.entries[0].index = index;
    int result = ckvm_result(ioctl(vcpu, KVM_GET_MSRS, &msr));
    if (result < 0) return result;
    if (result == 0) return -EINVAL;
    *value = msr.header.entries[0].data;
    return 0;
}

int ckvm_set_msr(int vcpu, uint32_t index, uint64_t value) {
    union one_msr msr = {.header = {.nmsrs = 1}};
    msr.header.entries[0] = (struct kvm_msr_entry){.index = index, .data = value};
    int result = ckvm_result(ioctl(vcpu, KVM_SET_MSRS, &msr));
    if (result < 0) return result;
    return result == 0 ? -EINVAL : 0;
}

int ckvm_get_msr_index_list(int kvm, uint32_t *indices) {
    union msr_index_list list = {.header = {.nmsrs = CKVM_MSR_CAPACITY}};
    int result = ckvm_result(ioctl(kvm, KVM_GET_MSR_INDEX_LIST, &list));
    if (result < 0) return result;
    memcpy(indices, list.header.indices, list.header.nmsrs * sizeof *indices);
    return (int)list.header.nmsrs;
}

int ckvm_get_msrs(int vcpu, struct kvm_msr_entry *entries, uint32_t count) {
    union msr_list list = {.header = {.nmsrs = count}};
    if (count > CKVM_MSR_CAPACITY) return -E2BIG;
    memcpy(list.header.entries, entries, count * sizeof *entries);
    int result = ckvm_result(ioctl(vcpu, KVM_GET_MSRS, &list));
    if (result > 0) memcpy(entries, list.header.entries, (size_t)result * sizeof *entries);
    return result;
}

int ckvm_set_msrs(int vcpu, const struct kvm_msr_entry *entries, uint32_t count) {
    union msr_list list = {.header = {.nmsrs = count}};
    if (count > CKVM_MSR_CAPACITY) return -E2BIG;
    memcpy(list.header.entries, entries, count * sizeof *entries);
    return ckvm_result(ioctl(vcpu, KVM_SET_MSRS, &list));
}

static struct kvm_device_attr tsc_offset_at(uint64_t *offset) {
    return (struct kvm_device_attr){
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uint64_t)(uintptr_t)offset};
}

int ckvm_get_tsc_offset(int vcpu, uint64_t *offset) {
    struct kvm_device_attr attribute = tsc_offset_at(offset);
    return ckvm_result(ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attribute));
}

int ckvm_set_tsc_offset(int vcpu, uint64_t offset) {
    struct kvm_device_attr attribute = tsc_offset_at(&offset);
    return ckvm_result(ioctl(vcpu, KVM_SET_DEVICE_ATTR, &attribute));
}

void ckvm_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t *registers) {
    __cpuid_count(leaf, subleaf, registers[0], registers[1], registers[2], registers[3]);
}

static void do_nothing(int signal) { (void)signal; }

int ckvm_install_kick_handler(int signal) {
    // No SA_RESTART: the whole point is that KVM_RUN returns EINTR.
    struct sigaction action = {.sa_handler = do_nothing};
    sigemptyset(&action.sa_mask);
    return ckvm_result(sigaction(signal, &action, NULL));
}

int ckvm_kick_signal(void) { return SIGRTMIN; }

int ckvm_current_thread(void) { return (int)syscall(SYS_gettid); }

int ckvm_kick_thread(int thread, int signal) {
    // tgkill, not pthread_kill: a thread that has ended gives an error instead of undefined behaviour.
    return ckvm_result((int)syscall(SYS_tgkill, getpid(), thread, signal));
}

static int change_mask(int how, int signal, int *was_blocked) {
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, signal);
    int error = pthread_sigmask(how, &set, &before);
    if (error) return -error;
    *was_blocked = sigismember(&before, signal);
    return 0;
}

int ckvm_unblock_signal(int signal, int *was_blocked) { return change_mask(SIG_UNBLOCK, signal, was_blocked); }

int ckvm_block_signal(int signal) {
    int was_blocked;
    return change_mask(SIG_BLOCK, signal, &was_blocked);
}
