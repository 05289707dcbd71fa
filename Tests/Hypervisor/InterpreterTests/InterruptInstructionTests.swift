// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Interpreter

@Suite struct InterruptInstructionTests {
    private static let stack: UInt64 = 0x10_1009
    private static let handler: UInt64 = 0xFFFF_FFFF_8123_4567

    /// A CPU whose IDT has a gate for vector 0x20.
    private func cpu(
        attributes: UInt64 = 0x8E00,
        selector: UInt64 = 0x10,
        descriptor: UInt64 = 0,
        limit: UInt32 = 0xFFF
    ) -> FakeCPU {
        var cpu = FakeCPU()
        cpu.globalTable = DescriptorTable(base: 0x10_0800, limit: 0x0F)
        cpu.set(descriptor, at: 0x10_0808)
        cpu.interruptTable = DescriptorTable(base: 0x10_0000, limit: limit)
        let low = Self.handler & 0xFFFF | selector << 16 | attributes << 32 | (Self.handler >> 16 & 0xFFFF) << 48
        cpu.set(low, at: 0x10_0200)
        cpu.set(Self.handler >> 32, at: 0x10_0208)
        cpu.registers[.rsp] = Self.stack
        cpu.registers.rflags = [.alwaysOne, .interruptEnable, .carry, .nestedTask]
        return cpu
    }

    @Test(arguments: [0x8E00, 0x8F00] as [UInt64])
    func `int pushes a frame and goes to the handler`(attributes: UInt64) {
        var cpu = cpu(attributes: attributes)
        let flags = cpu.registers.rflags
        #expect(cpu.complete([0xCD, 0x20]) == .completed)
        #expect(cpu.registers.rip == Self.handler)
        #expect(cpu.registers[.rsp] == 0x10_0FD8)
        let frame = (0..<5).map { cpu.integer(at: 0x10_0FD8 + 8 * $0) as UInt64 }
        #expect(frame == [0x1002, 0x10, flags.rawValue, Self.stack, 0x18])
        #expect(cpu.registers.rflags.contains(.interruptEnable) == (attributes == 0x8F00))
        #expect(cpu.registers.rflags.isDisjoint(with: [.nestedTask, .trap]))
        #expect(cpu.registers.rflags.contains(.carry))
    }

    @Test func `int without a gate is a fault that names the entry`() {
        var none = cpu(attributes: 0)
        #expect(none.complete([0xCD, 0x20]) == .exception(CPUException(.generalProtection, errorCode: 0x102)))
        var absent = cpu(attributes: 0x0E00)
        #expect(absent.complete([0xCD, 0x20]) == .exception(CPUException(.segmentNotPresent, errorCode: 0x102)))
        var short = cpu(limit: 0x20E)
        #expect(short.complete([0xCD, 0x20]) == .exception(CPUException(.generalProtection, errorCode: 0x102)))
        #expect(short.registers[.rsp] == Self.stack)
    }

    @Test func `int to another segment or stack is given back`() {
        var other = cpu(selector: 0x08, descriptor: 0x00AF_9B00_0000_FFFF)
        #expect(other.complete([0xCD, 0x20]) == .unsupported(.interruptHandler))
        var stack = cpu(attributes: 0x8E01)
        #expect(stack.complete([0xCD, 0x20]) == .unsupported(.interruptHandler))
        var user = cpu()
        user.currentPrivilegeLevel = 3
        #expect(user.complete([0xCD, 0x20]) == .unsupported(.interruptHandler))
    }

    @Test(
        arguments: [
            (0x08, 0x00AF_1B00_0000_FFFF, .segmentNotPresent, 0x08),  // a code segment that is not present
            (0x08, 0x00CF_9300_0000_FFFF, .generalProtection, 0x08),  // a data segment
            (0x0B, 0x00AF_FB00_0000_FFFF, .generalProtection, 0x08),  // of a lower privilege
            (0x00, 0, .generalProtection, 0), (0x1000, 0, .generalProtection, 0x1000),
        ] as [(UInt64, UInt64, CPUException.Vector, UInt32)]
    )
    func `int to a segment that cannot be entered is a fault that names it`(
        selector: UInt64,
        descriptor: UInt64,
        vector: CPUException.Vector,
        errorCode: UInt32
    ) {
        var cpu = cpu(selector: selector, descriptor: descriptor)
        #expect(cpu.complete([0xCD, 0x20]) == .exception(CPUException(vector, errorCode: errorCode)))
        #expect(cpu.registers[.rsp] == Self.stack)
    }

    @Test func `int faults where the stack does, and changes nothing`() {
        var cpu = cpu()
        cpu.faults[0x10_0000] = .notPresent
        cpu.interruptTable.base = 0x10_1000
        cpu.set(cpu.integer(at: 0x10_0200) as UInt64, at: 0x10_1200)
        cpu.set(cpu.integer(at: 0x10_0208) as UInt64, at: 0x10_1208)
        let before = cpu
        guard case .exception(let exception) = cpu.complete([0xCD, 0x20]) else {
            Issue.record("no fault")
            return
        }
        #expect(exception.vector == .pageFault)
        #expect(cpu == before)
    }

    // MARK: - invpcid

    @Test func `invpcid is no instruction of a guest whose CPUID lacks it`() {
        let (cpu, outcome) = invalidate(type: 2) { $0.hasInvalidateProcessContext = false }
        #expect(outcome == .exception(.invalidOpcode))
        #expect(cpu.forgottenTranslationsCount == 0)
    }

    /// `invpcid (%rdi), %rax` with a descriptor.
    private func invalidate(
        type: UInt64,
        identifier: UInt64 = 0,
        address: UInt64 = 0,
        _ change: (inout FakeCPU) -> Void = { _ in }
    ) -> (FakeCPU, Outcome) {
        var cpu = FakeCPU()
        cpu.registers[.rax] = type
        cpu.registers[.rdi] = 0x10_0008
        cpu.set(identifier, at: 0x10_0008)
        cpu.set(address, at: 0x10_0010)
        change(&cpu)
        let outcome = cpu.complete([0x66, 0x0F, 0x38, 0x82, 0x07])
        return (cpu, outcome)
    }

    @Test(arguments: 0...3 as ClosedRange<UInt64>) func `invpcid forgets translations`(type: UInt64) {
        let (cpu, outcome) = invalidate(type: type)
        #expect(outcome == .completed)
        #expect(cpu.forgottenTranslationsCount == 1)
        #expect(cpu.registers.rip == 0x1005)
    }

    @Test func `invpcid refuses what the manual says`() {
        let refusals = [
            invalidate(type: 4), invalidate(type: 2, identifier: 0x1000), invalidate(type: 1, identifier: 5),
            invalidate(type: 0, address: 1 << 63), invalidate(type: 2) { $0.currentPrivilegeLevel = 3 },
        ]
        for (cpu, outcome) in refusals {
            #expect(outcome == .exception(.generalProtection))
            #expect(cpu.forgottenTranslationsCount == 0)
        }
        #expect(invalidate(type: 1, identifier: 5) { $0.cr4.insert(.processContextIdentifiers) }.1 == .completed)
    }
}
