// SPDX-License-Identifier: Apache-2.0

/// A guest's request by a system event (`KVM_SYSTEM_EVENT_…`).
package enum SystemEvent: Hashable, Sendable {
    case shutdown
    case reset
    case crash
    case other(type: UInt32)
}

/// The reason why `KVM_RUN` came back (api.rst, "The kvm_run structure").
///
/// The data of port and MMIO accesses stays in the vCPU's shared page: see `KVMVCPU.withPortData` and `withMMIOData`.
package enum VCPUExit: Hashable, Sendable {
    /// A string of `count` reads of `byteCount` bytes (1, 2 or 4) from `port`.
    case portRead(port: UInt16, byteCount: Int, count: Int)
    /// A string of `count` writes of `byteCount` bytes (1, 2 or 4) to `port`.
    case portWrite(port: UInt16, byteCount: Int, count: Int)
    /// A read of `byteCount` bytes (1 to 8) at a guest physical address without memory.
    case mmioRead(address: UInt64, byteCount: Int)
    /// A write of `byteCount` bytes (1 to 8) at a guest physical address without memory.
    case mmioWrite(address: UInt64, byteCount: Int)
    /// HLT, which the in-kernel interrupt controller handles by itself: only seen without one.
    case halt
    /// A triple fault.
    case shutdown
    /// A signal or a kick ended the run.
    case interrupted
    /// An application processor got its INIT; it is to be run again.
    case again
    /// An instruction that KVM's emulator lacks; RIP points at it.
    case emulationFailure
    /// Another fault inside KVM (`KVM_EXIT_INTERNAL_ERROR`).
    case internalError(suberror: UInt32)
    /// The processor refused to enter the guest.
    case failEntry(reason: UInt64)
    /// The guest asked through a paravirtual interface for a system event, of one of these kinds.
    case systemEvent(SystemEvent)
    /// A reason that Martlet did not ask KVM for.
    case other(reason: UInt32)
}
