// SPDX-License-Identifier: Apache-2.0

import CKVM
import GuestMemory
import Host
import KVM
import TestSupport
import Testing

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct KVMStateTests {
    private let msrs: [UInt32]

    init() throws {
        msrs = try KVMSystem().stateMSRs()
    }

    /// A guest with interrupt controllers, a timer, and its CPUID.
    private func guest(_ code: [UInt8]) throws -> TinyGuest {
        let guest = try TinyGuest(code: code, hasInterruptControllers: true)
        try guest.vm.makeTimer()
        try guest.vcpu.setCPUID(KVMSystem().supportedCPUID())
        return guest
    }

    /// A new virtual machine that continues where `guest` stands.
    private func copy(of guest: TinyGuest) throws -> TinyGuest {
        let (vcpu, machine) = (try guest.vcpu.state(msrs: msrs), try guest.vm.state())
        let copy = try self.guest([])
        try copy.memory.write(guest.memory.read(byteCount: 0x1_0000, at: 0), at: 0)
        try copy.vm.restore(machine, clock: .fromSave)
        try copy.vcpu.restore(vcpu)
        return copy
    }

    private func port(_ guest: TinyGuest, _ port: UInt16) throws -> UInt16 {
        try #require(try guest.vcpu.run() == .portWrite(port: port, byteCount: 2, count: 1))
        return guest.vcpu.withPortData(element: 0) { unsafe $0.bytes.unsafeLoad(as: UInt16.self) }
    }

    @Test func `a guest goes on in another virtual machine with all its registers`() throws {
        // out 0x80, ax; mov ax, bx; out 0x81, ax
        let original = try guest([0xe7, 0x80, 0x89, 0xd8, 0xe7, 0x81])
        var registers = try original.vcpu.generalRegisters()
        registers.rbx = 0xbeef
        registers.r15 = 0x0123_4567_89ab_cdef
        try original.vcpu.setGeneralRegisters(registers)
        _ = try port(original, 0x80)
        original.vcpu.finishLastExitOnly()
        #expect(try original.vcpu.run() == .interrupted)
        let copy = try copy(of: original)
        #expect(try copy.vcpu.generalRegisters().r15 == registers.r15)
        #expect(try port(copy, 0x81) == 0xbeef)
    }

    @Test func `a restored virtual machine has the state that was saved`() throws {
        let original = try guest([0xe7, 0x80])
        _ = try port(original, 0x80)
        // XMM0 to XMM15, and the marks of their component, in the area's header (SDM volume 1, 13.4).
        var area = try original.vcpu.extendedStateArea()
        for index in 160..<416 { area[index] = UInt8(truncatingIfNeeded: index) }
        area[512] |= 2
        try original.vcpu.setExtendedStateArea(area)
        let syscallTarget: UInt32 = 0xc000_0082
        #expect(try original.vcpu.setModelSpecificRegister(syscallTarget, to: 0xffff_8000_1234_5678))
        let saved = (try original.vcpu.state(msrs: msrs), try original.vm.state())
        let copy = try copy(of: original)
        let restored = (try copy.vcpu.state(msrs: msrs), try copy.vm.state())
        #expect(restored.0.generalRegisters == saved.0.generalRegisters)
        #expect(restored.0.specialRegisters == saved.0.specialRegisters)
        #expect(Array(restored.0.extendedState.bytes[160..<416]) == Array(area[160..<416]))
        #expect(restored.0.extendedControlRegisters == saved.0.extendedControlRegisters)
        #expect(restored.0.debugRegisters == saved.0.debugRegisters)
        #expect(restored.0.localAPIC == saved.0.localAPIC)
        #expect(restored.0.cpuid == saved.0.cpuid)
        #expect(restored.0.events == saved.0.events)
        #expect(restored.0.runState == saved.0.runState)
        #expect(restored.1.interruptControllers == saved.1.interruptControllers)
        #expect(try copy.vcpu.modelSpecificRegister(syscallTarget) == 0xffff_8000_1234_5678)
    }

    @Test func `a timer of the local APIC that was armed fires in the restored machine`() throws {
        func store(_ value: UInt32, at register: UInt16) -> [UInt8] {
            // mov dword [register], value
            [0x66, 0xc7, 0x06, UInt8(register & 0xff), UInt8(register >> 8)]
                + (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        // Switched on; one-shot, vector 40h, undivided; 50 ms of KVM's 1 GHz.
        let arm = store(0x1ff, at: 0xf0) + store(0x40, at: 0x320) + store(0xb, at: 0x3e0) + store(50_000_000, at: 0x380)
        // sti; out 0x80, ax; again: hlt; jmp again
        let original = try guest(arm + [0xfb, 0xe7, 0x80, 0xf4, 0xeb, 0xfd])
        try original.memory.store(0x1100 as UInt32, at: 0x100)
        try original.memory.write([0xe7, 0x82], at: 0x1100)  // out 0x82, ax
        var special = try original.vcpu.specialRegisters()
        special.ds.base = 0xfee0_0000
        try original.vcpu.setSpecialRegisters(special)
        _ = try port(original, 0x80)
        original.vcpu.finishLastExitOnly()
        #expect(try original.vcpu.run() == .interrupted)
        _ = try port(copy(of: original), 0x82)
    }

    @Test func `what a device answered is in the registers once the exit is finished`() throws {
        // in ax, 0x70; nop
        let guest = try guest([0xe5, 0x70, 0x90])
        #expect(try guest.vcpu.run() == .portRead(port: 0x70, byteCount: 2, count: 1))
        guest.vcpu.withPortData(element: 0) { $0.storeBytes(of: 0xbeef, as: UInt16.self) }
        guest.vcpu.finishLastExitOnly()
        #expect(try guest.vcpu.run() == .interrupted)
        let registers = try guest.vcpu.generalRegisters()
        #expect(registers.rax & 0xffff == 0xbeef && registers.rip == TinyGuest.entry + 2)
    }

    @Test func `a structure of another size is refused by its name`() throws {
        let original = try guest([0x90])
        var state = try original.vcpu.state(msrs: msrs)
        state.debugRegisters.bytes.removeLast()
        #expect(throws: KVMError.state("the saved state of the debug registers has 127 bytes instead of 128")) {
            try guest([]).vcpu.restore(state)
        }
        var machine = try original.vm.state()
        machine.interruptControllers.removeLast()
        #expect(throws: KVMError.self) { try guest([]).vm.restore(machine, clock: .fromSave) }
        state = try original.vcpu.state(msrs: msrs)
        state.modelSpecificRegisters.bytes += Array(repeating: 0, count: 16 * 1000)
        #expect(throws: KVMError.self) { try guest([]).vcpu.restore(state) }
    }

    @Test func `an MSR that a vCPU lacks is left out of its state, and refused when it is restored`() throws {
        let original = try guest([0x90])
        let state = try original.vcpu.state(msrs: [0xdead_beef, 0x174, 0xdead_beee])
        #expect(state.modelSpecificRegisters.bytes.count == 16)
        var foreign = state
        foreign.modelSpecificRegisters.bytes[0...3] = [0xef, 0xbe, 0xad, 0xde]
        #expect(throws: KVMError.self) { try guest([]).vcpu.restore(foreign) }
    }

    @Test func `a frequency that the host cannot give is refused in words`() throws {
        let original = try guest([0x90])
        var state = try original.vcpu.state(msrs: msrs)
        state.timeStampKilohertz += state.timeStampKilohertz / 10_000
        #expect(throws: Never.self) { try guest([]).vcpu.restore(state) }
        state.timeStampKilohertz = 1
        #expect {
            try guest([]).vcpu.restore(state)
        } throws: { error in
            "\(error)".contains("kHz")
        }
    }

    @Test func `a probe of the time-stamp counter leaves it as it was`() throws {
        let guest = try guest([0x90])
        let timeStampCounter: UInt32 = 0x10
        let before = try #require(try guest.vcpu.modelSpecificRegister(timeStampCounter))
        _ = try guest.vcpu.canSetTimeStampCounter()
        let after = try #require(try guest.vcpu.modelSpecificRegister(timeStampCounter))
        #expect(after >= before && after - before < 1 << 50)
    }
}
