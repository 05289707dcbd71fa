// SPDX-License-Identifier: Apache-2.0

import CKVM
import GuestMemory
import Interpreter
import KVM

/// A vCPU as the instruction emulator sees it: its registers fetched once, changed here, and put back together.
struct KVMCPUContext: CPUContext {
    private let vcpu: KVMVCPU
    private let memory: GuestMemory
    private var special: kvm_sregs
    private var isSpecialChanged = false
    private let original: Registers
    /// The first call to KVM that failed; the protocol's getters cannot throw it.
    private var failure: KVMError?

    var registers: Registers

    init(vcpu: KVMVCPU, memory: GuestMemory) throws(KVMError) {
        self.vcpu = vcpu
        self.memory = memory
        special = try vcpu.specialRegisters()
        original = Registers(try vcpu.generalRegisters())
        registers = original
    }

    /// Gives the vCPU what changed.
    mutating func commit() throws(KVMError) {
        if let failure { throw failure }
        if isSpecialChanged { try vcpu.setSpecialRegisters(special) }
        if registers != original { try vcpu.setGeneralRegisters(kvm_regs(registers)) }
    }

    /// Queues `exception` for the vCPU's next entry.
    mutating func inject(_ exception: CPUException) throws(KVMError) {
        if exception.vector == .pageFault, let address = exception.payload {
            special.cr2 = address
            isSpecialChanged = true
        }
        var events = try vcpu.events()
        events.flags = 0
        events.exception.injected = 1
        events.exception.nr = exception.vector.rawValue
        events.exception.has_error_code = exception.errorCode == nil ? 0 : 1
        events.exception.error_code = exception.errorCode ?? 0
        try vcpu.setEvents(events)
    }

    // MARK: - What the rule for SYSCALL looks at

    var codeSelector: UInt16 { special.cs.selector }
    var cr2: UInt64 { special.cr2 }
    var interruptTable: DescriptorTable {
        DescriptorTable(base: special.idt.base, limit: UInt32(special.idt.limit))
    }
    var stackSelector: UInt16 { special.ss.selector }

    var hasInvalidateProcessContext: Bool { vcpu.hasInvalidateProcessContext }

    /// KVM drops all of them when a control register changes that translation depends on.
    mutating func forgetTranslations() {
        let globalPages: UInt64 = 1 << 7
        let current = special
        var changed = current
        changed.cr4 ^= globalPages
        let toggled = changed
        ask { (vcpu) throws(KVMError) in
            try vcpu.setSpecialRegisters(toggled)
            try vcpu.setSpecialRegisters(current)
        }
    }

    /// The linear address of the instruction at RIP.
    var instructionAddress: UInt64 {
        codeSize == .bits64 ? registers.rip : (special.cs.base &+ registers.rip) & 0xffff_ffff
    }

    // MARK: - State

    var codeSize: CodeSize {
        if special.efer & 1 << 10 != 0, special.cs.l != 0 { return .bits64 }
        return special.cs.db != 0 ? .bits32 : .bits16
    }

    var currentPrivilegeLevel: UInt8 { special.ss.dpl }
    var cr0: CR0 { CR0(rawValue: special.cr0) }
    var cr4: CR4 { CR4(rawValue: special.cr4) }

    func base(of segment: SegmentRegister) -> UInt64 {
        switch segment {
        case .es: special.es.base
        case .cs: special.cs.base
        case .ss: special.ss.base
        case .ds: special.ds.base
        case .fs: special.fs.base
        case .gs: special.gs.base
        }
    }

    func descriptorTable(isLocal: Bool) -> DescriptorTable {
        isLocal
            ? DescriptorTable(base: special.ldt.base, limit: special.ldt.limit)
            : DescriptorTable(base: special.gdt.base, limit: UInt32(special.gdt.limit))
    }

    mutating func setBase(of segment: SegmentRegister, to base: UInt64) {
        isSpecialChanged = true
        switch segment {
        case .fs: special.fs.base = base
        default: special.gs.base = base
        }
    }

    // MARK: - Memory

    mutating func read(at address: UInt64, into bytes: inout MutableRawSpan) throws(MemoryFault) {
        var done = 0
        while done < bytes.byteCount {
            let position = address &+ UInt64(done)
            let page = try pageWalk.translate(position, isWrite: false)
            let count = min(bytes.byteCount - done, Int(page.byteCount))
            var piece = bytes._mutatingExtracting(done..<(done + count))
            do {
                try memory.read(into: &piece, at: page.address)
            } catch {
                throw MemoryFault(address: position, isWrite: false, cause: .notMemory)
            }
            done += count
        }
    }

    mutating func write(at address: UInt64, from bytes: RawSpan) throws(MemoryFault) {
        // All pages first, so that a fault on the second leaves the first as it was.
        let first = try pageWalk.translate(address, isWrite: true)
        let firstCount = min(bytes.byteCount, Int(first.byteCount))
        var second: (address: GuestAddress, byteCount: UInt64)?
        if firstCount < bytes.byteCount {
            second = try pageWalk.translate(address &+ UInt64(firstCount), isWrite: true)
        }
        guard
            memory.contains(first.address, byteCount: UInt64(firstCount)),
            second.map({ memory.contains($0.address, byteCount: UInt64(bytes.byteCount - firstCount)) }) ?? true
        else { throw MemoryFault(address: address, isWrite: true, cause: .notMemory) }
        do {
            try memory.write(bytes.extracting(first: firstCount), at: first.address)
            if let second { try memory.write(bytes.extracting(droppingFirst: firstCount), at: second.address) }
        } catch {
            throw MemoryFault(address: address, isWrite: true, cause: .notMemory)
        }
    }

    mutating func compareExchange(
        at address: UInt64,
        byteCount: Int,
        expected: UInt128,
        desired: UInt128
    ) throws(MemoryFault) -> UInt128 {
        let page = try pageWalk.translate(address, isWrite: true)
        do {
            guard byteCount == 8 else {
                return try memory.compareExchange(at: page.address, expected: expected, desired: desired)
            }
            let original = try memory.compareExchange(
                at: page.address,
                expected: UInt64(truncatingIfNeeded: expected),
                desired: UInt64(truncatingIfNeeded: desired)
            )
            return UInt128(original)
        } catch {
            throw MemoryFault(address: address, isWrite: true, cause: .notMemory)
        }
    }

    private var pageWalk: PageWalk {
        PageWalk(
            memory: memory,
            context: PageWalk.Context(
                cr0: special.cr0,
                cr3: special.cr3,
                cr4: special.cr4,
                efer: special.efer,
                isUser: currentPrivilegeLevel == 3,
                hasAlignmentCheckFlag: registers.rflags.rawValue & 1 << 18 != 0
            )
        )
    }

    // MARK: - Floating point and extended state

    mutating func floatingPointState() -> FloatingPointState {
        let area = ask { (vcpu) throws(KVMError) in try vcpu.extendedStateArea() }
        return area.map { FloatingPointState(legacyRegion: unsafe $0.span.bytes) } ?? FloatingPointState()
    }

    mutating func setFloatingPointState(_ state: FloatingPointState) {
        ask { (vcpu) throws(KVMError) in
            var area = try vcpu.extendedStateArea()
            area.store(state)
            try vcpu.setExtendedStateArea(area)
        }
    }

    mutating func extendedState() -> ExtendedState? {
        let supervisorState: UInt32 = 0xda0
        return ask { (vcpu) throws(KVMError) in
            ExtendedState(
                area: try vcpu.extendedStateArea(),
                xcr0: try vcpu.extendedControlRegister0(),
                xss: try vcpu.modelSpecificRegister(supervisorState) ?? 0,
                components: HostProcessor.extendedStateComponents
            )
        }
    }

    mutating func setExtendedState(_ state: ExtendedState) {
        ask { (vcpu) throws(KVMError) in try vcpu.setExtendedStateArea(state.area) }
    }

    mutating func timeStampCounter() -> UInt64 {
        let timeStampCounter: UInt32 = 0x10
        return ask { (vcpu) throws(KVMError) in try vcpu.modelSpecificRegister(timeStampCounter) ?? 0 } ?? 0
    }

    mutating func timeStampCounterAuxiliary() -> UInt32 {
        let auxiliary: UInt32 = 0xc000_0103
        let value = ask { (vcpu) throws(KVMError) in try vcpu.modelSpecificRegister(auxiliary) ?? 0 }
        return UInt32(truncatingIfNeeded: value ?? 0)
    }

    /// Keeps the first failure of KVM for `commit`.
    @discardableResult
    private mutating func ask<R>(_ question: (KVMVCPU) throws(KVMError) -> R) -> R? {
        do throws(KVMError) {
            return try question(vcpu)
        } catch {
            failure = failure ?? error
            return nil
        }
    }
}
