// SPDX-License-Identifier: Apache-2.0

package import CKVM
import Host
import Glibc
import Synchronization
import SystemPackage

/// One virtual processor of the kernel (api.rst, "vCPU ioctls") and the page that it shares with this process.
///
/// One thread at a time may run it and touch its registers; `kick` is for all the others.
@safe
package final class KVMVCPU: Sendable {
    /// Counts from 0; also the APIC id.
    package let index: Int

    let descriptor: OwnedDescriptor
    /// The size of the XSAVE area in bytes: 4096, or more where the guest has larger state (`KVM_CAP_XSAVE2`).
    let extendedStateByteCount: Int
    /// The CPUID that was set: KVM changes some of its copy while the guest runs.
    let cpuid = Mutex<[kvm_cpuid_entry2]>([])
    // The kernel writes to the page only inside KVM_RUN, which the one running thread calls; `immediate_exit` alone is
    // written by other threads, and atomically.
    private nonisolated(unsafe) let shared: UnsafeMutablePointer<kvm_run>
    private let sharedByteCount: Int
    /// The thread inside `runLoop`, or 0.
    private let thread = Atomic<CInt>(0)

    init(
        adopting descriptor: consuming OwnedDescriptor,
        index: Int,
        runMappingByteCount: Int,
        extendedStateByteCount: Int
    ) throws(KVMError) {
        let mapping = unsafe mmap(
            nil,
            runMappingByteCount,
            PROT_READ | PROT_WRITE,
            MAP_SHARED,
            descriptor.rawValue,
            0
        )
        guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
            throw .call(operation: "mmap of a vCPU", Errno(rawValue: errno))
        }
        self.index = index
        self.descriptor = descriptor
        self.extendedStateByteCount = extendedStateByteCount
        unsafe shared = mapping.bindMemory(to: kvm_run.self, capacity: 1)
        sharedByteCount = runMappingByteCount
    }

    deinit {
        unsafe munmap(shared, sharedByteCount)
    }

    // MARK: - Running

    /// Makes the calling thread the one that kicks reach, for as long as `body` lasts.
    ///
    /// Dispatch workers block every asynchronous signal, so the kick is let through here and the mask restored after:
    /// the worker goes back to its pool.
    package func withKicksEnabled<R>(_ body: () -> R) -> R {
        let signal = Kick.signal
        var wasBlocked: CInt = 0
        // Fails only for an invalid signal number, which this one is not.
        unsafe ckvm_unblock_signal(signal, &wasBlocked)
        thread.store(ckvm_current_thread(), ordering: .sequentiallyConsistent)
        defer {
            thread.store(0, ordering: .sequentiallyConsistent)
            if wasBlocked != 0 { ckvm_block_signal(signal) }
        }
        return body()
    }

    /// Runs the guest until something needs this process.
    package func run() throws(KVMError) -> VCPUExit {
        let result = ckvm_run(descriptor.rawValue)
        guard result >= 0 else {
            switch Errno(rawValue: -result) {
            case .interrupted:
                // Cleared before the caller checks the reason of the kick, so a later kick stays set.
                unsafe immediateExit.pointee.store(0, ordering: .sequentiallyConsistent)
                return .interrupted
            case .resourceTemporarilyUnavailable:
                return .again
            case let errno:
                throw .call(operation: "KVM_RUN of vCPU \(index)", errno)
            }
        }
        return exit
    }

    /// Ends the current or the next `run` with `interrupted`.
    ///
    /// From any thread.
    package func kick() {
        unsafe immediateExit.pointee.store(1, ordering: .sequentiallyConsistent)
        let thread = thread.load(ordering: .sequentiallyConsistent)
        // A thread that has ended meanwhile has left the guest: nothing to kick.
        if thread != 0 { ckvm_kick_thread(thread, Kick.signal) }
    }

    /// Has the next `run` finish what its last exit began, and come back before the guest runs on.
    ///
    /// A port or MMIO read is done only then: until that, RIP stands before the instruction and no register has the value
    /// (api.rst, `KVM_RUN`). The run ends with `interrupted`, or with the next part of the same access.
    package func finishLastExitOnly() {
        unsafe immediateExit.pointee.store(1, ordering: .sequentiallyConsistent)
    }

    /// Tells the guest that it did not run for a while, so that its watchdogs do not take the pause for a lock-up.
    ///
    /// For guests that use kvmclock (api.rst, `KVM_KVMCLOCK_CTRL`); nothing for others, and on hosts without it.
    package func notePause() {
        _ = ckvm_kvmclock_ctrl(descriptor.rawValue)
    }

    /// `kvm_run.immediate_exit`, which lies at offset 1 (asserted in CKVM.c).
    private var immediateExit: UnsafePointer<Atomic<UInt8>> {
        unsafe UnsafeRawPointer(shared).advanced(by: 1).assumingMemoryBound(to: Atomic<UInt8>.self)
    }

    private var exit: VCPUExit {
        let reason = unsafe shared.pointee.exit_reason
        switch CInt(bitPattern: reason) {
        case KVM_EXIT_IO:
            let io = unsafe shared.pointee.io
            let (size, count) = (Int(io.size), Int(io.count))
            return CInt(io.direction) == KVM_EXIT_IO_OUT
                ? .portWrite(port: io.port, byteCount: size, count: count)
                : .portRead(port: io.port, byteCount: size, count: count)
        case KVM_EXIT_MMIO:
            let mmio = unsafe shared.pointee.mmio
            return mmio.is_write != 0
                ? .mmioWrite(address: mmio.phys_addr, byteCount: Int(mmio.len))
                : .mmioRead(address: mmio.phys_addr, byteCount: Int(mmio.len))
        case KVM_EXIT_HLT: return .halt
        case KVM_EXIT_SHUTDOWN: return .shutdown
        case KVM_EXIT_INTR, KVM_EXIT_IRQ_WINDOW_OPEN: return .interrupted
        case KVM_EXIT_INTERNAL_ERROR:
            let suberror = unsafe shared.pointee.internal.suberror
            return suberror == UInt32(KVM_INTERNAL_ERROR_EMULATION)
                ? .emulationFailure : .internalError(suberror: suberror)
        case KVM_EXIT_FAIL_ENTRY:
            return unsafe .failEntry(reason: shared.pointee.fail_entry.hardware_entry_failure_reason)
        case KVM_EXIT_SYSTEM_EVENT: return .systemEvent(systemEvent)
        default: return .other(reason: reason)
        }
    }

    private var systemEvent: SystemEvent {
        let type = unsafe shared.pointee.system_event.type
        switch CInt(bitPattern: type) {
        case KVM_SYSTEM_EVENT_SHUTDOWN: return .shutdown
        case KVM_SYSTEM_EVENT_RESET: return .reset
        case KVM_SYSTEM_EVENT_CRASH: return .crash
        default: return .other(type: type)
        }
    }

    // MARK: - The data of an exit

    /// The bytes of element `element` of the last port access, for the device to fill or to take.
    package func withPortData<R>(element: Int, _ body: (inout MutableRawSpan) -> R) -> R {
        let io = unsafe shared.pointee.io
        let bytes = unsafe UnsafeMutableRawPointer(shared) + Int(io.data_offset) + element * Int(io.size)
        var span = unsafe MutableRawSpan(_unsafeStart: bytes, byteCount: Int(io.size))
        return body(&span)
    }

    /// The bytes of the last MMIO access, for the device to fill or to take.
    package func withMMIOData<R>(_ body: (inout MutableRawSpan) -> R) -> R {
        let byteCount = unsafe min(Int(shared.pointee.mmio.len), 8)
        return unsafe withUnsafeMutableBytes(of: &shared.pointee.mmio.data) { buffer in
            var span = unsafe MutableRawSpan(_unsafeBytes: buffer.prefix(byteCount))
            return body(&span)
        }
    }

    /// The bytes of the instruction that KVM could not emulate, as far as KVM hands them over; often none.
    package func emulationFailureBytes() -> [UInt8] {
        let failure = unsafe shared.pointee.emulation_failure
        guard
            failure.ndata > 0,
            failure.flags & UInt64(KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0
        else { return [] }
        let count = min(Int(failure.insn_size), MemoryLayout.size(ofValue: failure.insn_bytes))
        return unsafe withUnsafeBytes(of: failure.insn_bytes) { unsafe Array($0.prefix(count)) }
    }

    // MARK: - State

    package func generalRegisters() throws(KVMError) -> kvm_regs {
        try unsafe get("KVM_GET_REGS", kvm_regs(), ckvm_get_regs)
    }

    package func setGeneralRegisters(_ registers: kvm_regs) throws(KVMError) {
        try unsafe set("KVM_SET_REGS", registers, ckvm_set_regs)
    }

    package func specialRegisters() throws(KVMError) -> kvm_sregs {
        try unsafe get("KVM_GET_SREGS", kvm_sregs(), ckvm_get_sregs)
    }

    package func setSpecialRegisters(_ registers: kvm_sregs) throws(KVMError) {
        try unsafe set("KVM_SET_SREGS", registers, ckvm_set_sregs)
    }

    /// The XSAVE area in its standard format; x87 and SSE state lie at its start (SDM volume 1, 13.4).
    package func extendedStateArea() throws(KVMError) -> [UInt8] {
        var area = [UInt8](repeating: 0, count: extendedStateByteCount)
        if extendedStateByteCount > Int(CKVM_XSAVE_SIZE) {
            try kvmCall("KVM_GET_XSAVE2") { unsafe ckvm_get_xsave2(descriptor.rawValue, &area) }
        } else {
            try kvmCall("KVM_GET_XSAVE") { unsafe ckvm_get_xsave(descriptor.rawValue, &area) }
        }
        return area
    }

    /// Replaces the XSAVE area.
    ///
    /// - Parameter area: As many bytes as `extendedStateArea` gives, in the standard format.
    /// - Throws: `call`, also for an area that the processor would refuse.
    package func setExtendedStateArea(_ area: [UInt8]) throws(KVMError) {
        precondition(area.count == extendedStateByteCount)
        try kvmCall("KVM_SET_XSAVE") { unsafe ckvm_set_xsave(descriptor.rawValue, area) }
    }

    /// XCR0: the state components that the guest has switched on.
    package func extendedControlRegister0() throws(KVMError) -> UInt64 {
        let value = try unsafe get("KVM_GET_XCRS", kvm_xcrs(), ckvm_get_xcrs)
        return value.nr_xcrs > 0 && value.xcrs.0.xcr == 0 ? value.xcrs.0.value : 1
    }

    package func localAPIC() throws(KVMError) -> kvm_lapic_state {
        try unsafe get("KVM_GET_LAPIC", kvm_lapic_state(), ckvm_get_lapic)
    }

    /// Returns whether this vCPU can go on only if another one, a reset or an NMI makes it: it is halted with interrupts
    /// off, or waits for INIT and SIPI.
    package func isParked() throws(KVMError) -> Bool {
        let state = try unsafe get("KVM_GET_MP_STATE", kvm_mp_state(), ckvm_get_mp_state)
        switch CInt(bitPattern: state.mp_state) {
        case KVM_MP_STATE_UNINITIALIZED, KVM_MP_STATE_INIT_RECEIVED: return true
        case KVM_MP_STATE_HALTED: return try generalRegisters().rflags & 1 << 9 == 0
        default: return false
        }
    }

    package func setLocalAPIC(_ state: kvm_lapic_state) throws(KVMError) {
        try unsafe set("KVM_SET_LAPIC", state, ckvm_set_lapic)
    }

    package func events() throws(KVMError) -> kvm_vcpu_events {
        try unsafe get("KVM_GET_VCPU_EVENTS", kvm_vcpu_events(), ckvm_get_vcpu_events)
    }

    package func setEvents(_ events: kvm_vcpu_events) throws(KVMError) {
        try unsafe set("KVM_SET_VCPU_EVENTS", events, ckvm_set_vcpu_events)
    }

    /// Sets what CPUID answers to the guest.
    ///
    /// Before the first run.
    package func setCPUID(_ entries: [kvm_cpuid_entry2]) throws(KVMError) {
        try unsafe entries.withUnsafeBufferPointer { buffer throws(KVMError) in
            guard let base = buffer.baseAddress else { return }
            try kvmCall("KVM_SET_CPUID2") {
                unsafe ckvm_set_cpuid(descriptor.rawValue, base, UInt32(buffer.count))
            }
        }
        cpuid.withLock { $0 = entries }
    }

    /// Indicates whether CPUID offers INVPCID to the guest (leaf 7, EBX bit 10).
    package var hasInvalidateProcessContext: Bool {
        cpuid.withLock { entries in entries.contains { $0.function == 7 && $0.index == 0 && $0.ebx & 1 << 10 != 0 } }
    }

    /// The MSR `index`, or `nil` where this vCPU has none of that index.
    package func modelSpecificRegister(_ index: UInt32) throws(KVMError) -> UInt64? {
        var value: UInt64 = 0
        return try optional("KVM_GET_MSRS") { unsafe ckvm_get_msr(descriptor.rawValue, index, &value) }
            ? value : nil
    }

    /// Sets the MSR `index`.
    ///
    /// - Returns: Whether this vCPU has such an MSR and took the value.
    @discardableResult
    package func setModelSpecificRegister(_ index: UInt32, to value: UInt64) throws(KVMError) -> Bool {
        try optional("KVM_SET_MSRS") { ckvm_set_msr(descriptor.rawValue, index, value) }
    }

    // MARK: - Calls

    /// Takes a structure of the kernel.
    func get<T>(
        _ operation: StaticString,
        _ empty: T,
        _ shim: (CInt, UnsafeMutablePointer<T>) -> CInt
    ) throws(KVMError) -> T {
        var value = empty
        try unsafe withUnsafeMutablePointer(to: &value) { pointer throws(KVMError) in
            _ = try kvmCall(operation) { unsafe shim(descriptor.rawValue, pointer) }
        }
        return value
    }

    /// Gives the kernel a structure.
    func set<T>(
        _ operation: StaticString,
        _ value: T,
        _ shim: (CInt, UnsafePointer<T>) -> CInt
    ) throws(KVMError) {
        try unsafe withUnsafePointer(to: value) { pointer throws(KVMError) in
            _ = try kvmCall(operation) { unsafe shim(descriptor.rawValue, pointer) }
        }
    }

    /// Calls a shim for which "invalid argument" is an answer and not a failure.
    private func optional(_ operation: StaticString, _ shim: () -> CInt) throws(KVMError) -> Bool {
        do {
            try kvmCall(operation, shim)
            return true
        } catch .call(_, .invalidArgument) {
            return false
        }
    }
}

/// The signal that ends `KVM_RUN`.
enum Kick {
    /// Its number; its empty handler is installed before the first use.
    static let signal: CInt = {
        let signal = ckvm_kick_signal()
        // Fails only for an invalid signal number, which this one is not.
        ckvm_install_kick_handler(signal)
        return signal
    }()
}
