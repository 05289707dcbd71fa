// SPDX-License-Identifier: Apache-2.0
//
// The kernel's KVM interface for Swift: `<linux/kvm.h>` and one typed function for each ioctl.
//
// The request macros and the structures with flexible arrays do not import into Swift, and a variadic ioctl call checks
// nothing. Each function here returns what the kernel returned, or -errno: nothing that runs between the call and its
// check can change the error.
//
// Authority: the kernel's Documentation/virt/kvm/api.rst.

#ifndef CKVM_H
#define CKVM_H

#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <sys/ioctl.h>

#pragma clang assume_nonnull begin

static inline int ckvm_result(int result) { return result < 0 ? -errno : result; }

// MARK: - System

static inline int ckvm_get_api_version(int kvm) { return ckvm_result(ioctl(kvm, KVM_GET_API_VERSION, 0)); }
/// `fd` is the system's or a virtual machine's: the answer may be narrower for the latter.
static inline int ckvm_check_extension(int fd, int capability) {
    return ckvm_result(ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)capability));
}
static inline int ckvm_create_vm(int kvm) { return ckvm_result(ioctl(kvm, KVM_CREATE_VM, 0ul)); }
static inline int ckvm_get_vcpu_mmap_size(int kvm) { return ckvm_result(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)); }

/// The most CPUID entries that any call here takes or gives; KVM's own limit is 256 (KVM_MAX_CPUID_ENTRIES).
enum { CKVM_CPUID_CAPACITY = 256 };

/// Fills `entries` (CKVM_CPUID_CAPACITY of them) and returns how many are valid.
int ckvm_get_supported_cpuid(int kvm, struct kvm_cpuid_entry2 *entries);

/// The most MSRs that any call here takes or gives.
enum { CKVM_MSR_CAPACITY = 256 };

/// Fills `indices` (CKVM_MSR_CAPACITY of them) with the MSRs that KVM lists as part of a vCPU's state, and returns how many.
int ckvm_get_msr_index_list(int kvm, uint32_t *indices);

// MARK: - Virtual machine

static inline int ckvm_set_tss_address(int vm, unsigned long address) {
    return ckvm_result(ioctl(vm, KVM_SET_TSS_ADDR, address));
}
static inline int ckvm_set_identity_map_address(int vm, uint64_t address) {
    return ckvm_result(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &address));
}
static inline int ckvm_create_irqchip(int vm) { return ckvm_result(ioctl(vm, KVM_CREATE_IRQCHIP, 0)); }
static inline int ckvm_get_irqchip(int vm, struct kvm_irqchip *chip) {
    return ckvm_result(ioctl(vm, KVM_GET_IRQCHIP, chip));
}
static inline int ckvm_set_irqchip(int vm, const struct kvm_irqchip *chip) {
    return ckvm_result(ioctl(vm, KVM_SET_IRQCHIP, chip));
}
static inline int ckvm_get_pit2(int vm, struct kvm_pit_state2 *state) {
    return ckvm_result(ioctl(vm, KVM_GET_PIT2, state));
}
static inline int ckvm_set_pit2(int vm, const struct kvm_pit_state2 *state) {
    return ckvm_result(ioctl(vm, KVM_SET_PIT2, state));
}
static inline int ckvm_get_clock(int vm, struct kvm_clock_data *clock) {
    return ckvm_result(ioctl(vm, KVM_GET_CLOCK, clock));
}
static inline int ckvm_set_clock(int vm, const struct kvm_clock_data *clock) {
    return ckvm_result(ioctl(vm, KVM_SET_CLOCK, clock));
}
static inline int ckvm_create_pit2(int vm, const struct kvm_pit_config *config) {
    return ckvm_result(ioctl(vm, KVM_CREATE_PIT2, config));
}
static inline int ckvm_set_user_memory_region(int vm, const struct kvm_userspace_memory_region *region) {
    return ckvm_result(ioctl(vm, KVM_SET_USER_MEMORY_REGION, region));
}
static inline int ckvm_enable_capability(int vm, const struct kvm_enable_cap *capability) {
    return ckvm_result(ioctl(vm, KVM_ENABLE_CAP, capability));
}
static inline int ckvm_irqfd(int vm, const struct kvm_irqfd *irqfd) { return ckvm_result(ioctl(vm, KVM_IRQFD, irqfd)); }
static inline int ckvm_ioeventfd(int vm, const struct kvm_ioeventfd *ioeventfd) {
    return ckvm_result(ioctl(vm, KVM_IOEVENTFD, ioeventfd));
}
static inline int ckvm_create_vcpu(int vm, unsigned long identifier) {
    return ckvm_result(ioctl(vm, KVM_CREATE_VCPU, identifier));
}

// MARK: - vCPU

static inline int ckvm_run(int vcpu) { return ckvm_result(ioctl(vcpu, KVM_RUN, 0)); }
/// Tells the guest's clock that the vCPU was paused; -EINVAL where the guest does not use that clock.
static inline int ckvm_kvmclock_ctrl(int vcpu) { return ckvm_result(ioctl(vcpu, KVM_KVMCLOCK_CTRL, 0)); }
static inline int ckvm_get_regs(int vcpu, struct kvm_regs *regs) { return ckvm_result(ioctl(vcpu, KVM_GET_REGS, regs)); }
static inline int ckvm_set_regs(int vcpu, const struct kvm_regs *regs) {
    return ckvm_result(ioctl(vcpu, KVM_SET_REGS, regs));
}
static inline int ckvm_get_sregs(int vcpu, struct kvm_sregs *sregs) {
    return ckvm_result(ioctl(vcpu, KVM_GET_SREGS, sregs));
}
static inline int ckvm_set_sregs(int vcpu, const struct kvm_sregs *sregs) {
    return ckvm_result(ioctl(vcpu, KVM_SET_SREGS, sregs));
}
/// The size of the area that KVM_GET_XSAVE takes: `struct kvm_xsave` without its flexible array.
enum { CKVM_XSAVE_SIZE = 4096 };
static inline int ckvm_get_xsave(int vcpu, void *area) { return ckvm_result(ioctl(vcpu, KVM_GET_XSAVE, area)); }
/// `area` has as many bytes as KVM_CAP_XSAVE2 says; for ckvm_set_xsave as well, or 4096 where the kernel has no such capability.
static inline int ckvm_get_xsave2(int vcpu, void *area) { return ckvm_result(ioctl(vcpu, KVM_GET_XSAVE2, area)); }
static inline int ckvm_set_xsave(int vcpu, const void *area) { return ckvm_result(ioctl(vcpu, KVM_SET_XSAVE, area)); }
static inline int ckvm_get_xcrs(int vcpu, struct kvm_xcrs *xcrs) { return ckvm_result(ioctl(vcpu, KVM_GET_XCRS, xcrs)); }
static inline int ckvm_set_xcrs(int vcpu, const struct kvm_xcrs *xcrs) {
    return ckvm_result(ioctl(vcpu, KVM_SET_XCRS, xcrs));
}
static inline int ckvm_get_debugregs(int vcpu, struct kvm_debugregs *registers) {
    return ckvm_result(ioctl(vcpu, KVM_GET_DEBUGREGS, registers));
}
static inline int ckvm_set_debugregs(int vcpu, const struct kvm_debugregs *registers) {
    return ckvm_result(ioctl(vcpu, KVM_SET_DEBUGREGS, registers));
}
/// Returns the frequency in kHz.
static inline int ckvm_get_tsc_khz(int vcpu) { return ckvm_result(ioctl(vcpu, KVM_GET_TSC_KHZ, 0)); }
static inline int ckvm_set_tsc_khz(int vcpu, unsigned long khz) { return ckvm_result(ioctl(vcpu, KVM_SET_TSC_KHZ, khz)); }
static inline int ckvm_get_lapic(int vcpu, struct kvm_lapic_state *state) {
    return ckvm_result(ioctl(vcpu, KVM_GET_LAPIC, state));
}
static inline int ckvm_set_lapic(int vcpu, const struct kvm_lapic_state *state) {
    return ckvm_result(ioctl(vcpu, KVM_SET_LAPIC, state));
}
static inline int ckvm_get_mp_state(int vcpu, struct kvm_mp_state *state) {
    return ckvm_result(ioctl(vcpu, KVM_GET_MP_STATE, state));
}
static inline int ckvm_set_mp_state(int vcpu, const struct kvm_mp_state *state) {
    return ckvm_result(ioctl(vcpu, KVM_SET_MP_STATE, state));
}
static inline int ckvm_get_vcpu_events(int vcpu, struct kvm_vcpu_events *events) {
    return ckvm_result(ioctl(vcpu, KVM_GET_VCPU_EVENTS, events));
}
static inline int ckvm_set_vcpu_events(int vcpu, const struct kvm_vcpu_events *events) {
    return ckvm_result(ioctl(vcpu, KVM_SET_VCPU_EVENTS, events));
}
/// Gives the vCPU `count` CPUID entries, at most CKVM_CPUID_CAPACITY.
int ckvm_set_cpuid(int vcpu, const struct kvm_cpuid_entry2 *entries, uint32_t count);
/// Reads one MSR; -EINVAL where the vCPU has none of that index.
int ckvm_get_msr(int vcpu, uint32_t index, uint64_t *value);
/// Writes one MSR; -EINVAL where the vCPU has none of that index or refuses the value.
int ckvm_set_msr(int vcpu, uint32_t index, uint64_t value);
/// Reads `count` MSRs, at most CKVM_MSR_CAPACITY, up to the first that fails; returns how many it has read.
int ckvm_get_msrs(int vcpu, struct kvm_msr_entry *entries, uint32_t count);
/// Writes `count` MSRs, at most CKVM_MSR_CAPACITY, up to the first that fails; returns how many it has written.
int ckvm_set_msrs(int vcpu, const struct kvm_msr_entry *entries, uint32_t count);
/// The difference between the guest's time-stamp counter and the host's (KVM_VCPU_TSC_OFFSET).
int ckvm_get_tsc_offset(int vcpu, uint64_t *offset);
int ckvm_set_tsc_offset(int vcpu, uint64_t offset);

// MARK: - Host

/// The CPUID instruction of the host: EAX, EBX, ECX, EDX into `registers`.
void ckvm_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t *registers);

// MARK: - Kick

/// Installs the empty handler whose signal ends KVM_RUN; once for the process.
int ckvm_install_kick_handler(int signal);
/// The signal that kicks: the first real-time signal that the C library leaves free.
int ckvm_kick_signal(void);
/// The calling thread, for `ckvm_kick_thread`.
int ckvm_current_thread(void);
/// Sends `signal` to the thread; -ESRCH when it has ended.
int ckvm_kick_thread(int thread, int signal);
/// Lets `signal` through to the calling thread, and gives the mask before in `*was_blocked`.
int ckvm_unblock_signal(int signal, int *was_blocked);
/// Blocks `signal` for the calling thread again.
int ckvm_block_signal(int signal);

#pragma clang assume_nonnull end

#endif
