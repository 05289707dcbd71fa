// SPDX-License-Identifier: Apache-2.0

import CKVM

/// A capability of the kernel's KVM (`KVM_CHECK_EXTENSION`) that Martlet needs or makes use of.
package enum Capability: CaseIterable, Hashable, Sendable, CustomStringConvertible {
    case userMemory
    case setTSSAddress
    case irqchip
    case pit2
    case irqfd
    case ioeventfd
    case extendedCPUID
    case mpState
    case vcpuEvents
    case immediateExit
    case exitOnEmulationFailure
    case tscDeadlineTimer
    case kvmclockControl
    case tscControl

    /// The capabilities that Martlet needs on any host.
    package static let required: [Capability] = [
        .userMemory, .setTSSAddress, .irqchip, .pit2, .irqfd, .ioeventfd, .extendedCPUID, .mpState, .vcpuEvents,
        .immediateExit,
    ]

    /// The number in `<linux/kvm.h>`.
    package var number: CInt {
        switch self {
        case .userMemory: KVM_CAP_USER_MEMORY
        case .setTSSAddress: KVM_CAP_SET_TSS_ADDR
        case .irqchip: KVM_CAP_IRQCHIP
        case .pit2: KVM_CAP_PIT2
        case .irqfd: KVM_CAP_IRQFD
        case .ioeventfd: KVM_CAP_IOEVENTFD
        case .extendedCPUID: KVM_CAP_EXT_CPUID
        case .mpState: KVM_CAP_MP_STATE
        case .vcpuEvents: KVM_CAP_VCPU_EVENTS
        case .immediateExit: KVM_CAP_IMMEDIATE_EXIT
        case .exitOnEmulationFailure: KVM_CAP_EXIT_ON_EMULATION_FAILURE
        case .tscDeadlineTimer: KVM_CAP_TSC_DEADLINE_TIMER
        case .kvmclockControl: KVM_CAP_KVMCLOCK_CTRL
        case .tscControl: KVM_CAP_TSC_CONTROL
        }
    }

    /// The kernel's name.
    package var description: String {
        switch self {
        case .userMemory: "KVM_CAP_USER_MEMORY"
        case .setTSSAddress: "KVM_CAP_SET_TSS_ADDR"
        case .irqchip: "KVM_CAP_IRQCHIP"
        case .pit2: "KVM_CAP_PIT2"
        case .irqfd: "KVM_CAP_IRQFD"
        case .ioeventfd: "KVM_CAP_IOEVENTFD"
        case .extendedCPUID: "KVM_CAP_EXT_CPUID"
        case .mpState: "KVM_CAP_MP_STATE"
        case .vcpuEvents: "KVM_CAP_VCPU_EVENTS"
        case .immediateExit: "KVM_CAP_IMMEDIATE_EXIT"
        case .exitOnEmulationFailure: "KVM_CAP_EXIT_ON_EMULATION_FAILURE"
        case .tscDeadlineTimer: "KVM_CAP_TSC_DEADLINE_TIMER"
        case .kvmclockControl: "KVM_CAP_KVMCLOCK_CTRL"
        case .tscControl: "KVM_CAP_TSC_CONTROL"
        }
    }
}
