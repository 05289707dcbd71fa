// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Interpreter

@Suite struct SyscallRepairTests {
    /// A genuine case, as a Linux guest on a host that needs the repair produces it.
    private struct Scene {
        var repair = SyscallRepair(lstar: 0xFFFF_FFFF_8180_0080, fmask: 0x25_7FD5)
        var registers = Registers(rip: 0xFFFF_FFFF_8180_0BD0)
        var cs: UInt16 = 0x10
        var cr2: UInt64 = 0xFFFF_FFFF_8180_0080
        var gate = InterruptGate(handler: 0xFFFF_FFFF_8180_0BD0, selector: 0x10)
        var hasEndBranch = false
        var frame = PageFaultFrame(
            errorCode: 0x15,
            rip: 0xFFFF_FFFF_8180_0080,
            cs: 0x33,
            rflags: [.alwaysOne, .resume],
            rsp: 0x7FFC_1234_5678,
            ss: 0x2B
        )

        init() {
            registers[.rsp] = 0xFFFF_FE00_0000_2FD0
            registers[.rcx] = 0x40_1002
            registers[.r11] = 0x246
            registers[.rax] = 39
        }

        var repaired: Registers? {
            repair.repairedRegisters(registers, cs: cs, cr2: cr2, gate: gate, hasEndBranch: hasEndBranch, frame: frame)
        }
    }

    @Test func `a SYSCALL continues at LSTAR with the registers that it left`() throws {
        let scene = Scene()
        var expected = scene.registers
        expected.rip = scene.repair.lstar
        expected[.rsp] = 0x7FFC_1234_5678
        expected.rflags = .alwaysOne
        #expect(scene.repaired == expected)
    }

    @Test func `flags that FMASK does not clear stay as they were`() {
        var scene = Scene()
        scene.repair.fmask = RFlags.interruptEnable.rawValue
        scene.registers[.r11] = RFlags([.alwaysOne, .interruptEnable, .carry, .direction]).rawValue
        scene.frame.rflags = [.alwaysOne, .carry, .direction]
        #expect(scene.repaired?.rflags == [.alwaysOne, .carry, .direction])
    }

    @Test func `a user program that jumps to LSTAR gets its page fault`() {
        var scene = Scene()
        scene.frame.rflags = [.alwaysOne, .interruptEnable, .zero, .parity, .resume]
        #expect(scene.repaired == nil)
        scene.frame.rflags = [.alwaysOne, .interruptEnable, .resume]
        #expect(scene.repaired == nil)
    }

    @Test func `a jump with IF clear by means of IOPL 3 gets its page fault`() {
        var scene = Scene()
        scene.frame.rflags = [.alwaysOne, .ioPrivilegeLevel]
        #expect(scene.repaired == nil)
        scene.repair.fmask = RFlags.interruptEnable.rawValue
        scene.registers[.r11] = RFlags([.alwaysOne, .interruptEnable, .ioPrivilegeLevel]).rawValue
        #expect(scene.repaired == nil)
    }

    @Test(
        arguments: [
            .carry, .parity, .zero, .sign, .trap, .direction, .overflow, .nestedTask, .alignmentCheck,
        ] as [RFlags]
    )
    func `a flag that FMASK should have cleared is no SYSCALL`(flag: RFlags) {
        var scene = Scene()
        scene.frame.rflags.insert(flag)
        #expect(scene.repaired == nil)
        scene.registers[.r11] |= flag.rawValue
        #expect(scene.repaired == nil)
    }

    @Test func `flags that do not follow from R11 are no SYSCALL`() {
        var scene = Scene()
        scene.frame.rflags.insert(.identification)
        #expect(scene.repaired == nil)
        scene.repair.fmask &= ~RFlags.identification.rawValue
        #expect(scene.repaired == nil)
        scene.registers[.r11] |= RFlags.identification.rawValue
        #expect(scene.repaired != nil)
        scene.registers[.r11] &= ~RFlags.interruptEnable.rawValue
        #expect(scene.repaired == nil)
    }

    @Test func `RF and the bit that is always one do not matter`() {
        var scene = Scene()
        scene.frame.rflags = []
        #expect(scene.repaired?.rflags == .alwaysOne)
        scene.registers[.r11] |= RFlags.resume.rawValue
        #expect(scene.repaired?.rflags == .alwaysOne)
    }

    @Test func `without LSTAR, or without IF in FMASK, nothing is repaired`() {
        var scene = Scene()
        #expect(scene.repair.isArmed)
        scene.repair.fmask = 0x47D5 & ~0x200
        #expect(!scene.repair.isArmed)
        #expect(scene.repaired == nil)
        scene = Scene()
        scene.repair.lstar = 0
        scene.cr2 = 0
        scene.frame.rip = 0
        #expect(!scene.repair.isArmed)
        #expect(scene.repaired == nil)
    }

    @Test(arguments: [0x00, 0x04, 0x05, 0x11, 0x14, 0x17, 0x1D, 0x35, 0x1_0000_0015] as [UInt64])
    func `every other error code is a page fault`(errorCode: UInt64) {
        var scene = Scene()
        scene.frame.errorCode = errorCode
        #expect(scene.repaired == nil)
    }

    @Test func `the CPU must stand at the page fault handler in CPL 0`() {
        var scene = Scene()
        scene.registers.rip += 3
        #expect(scene.repaired == nil)
        scene = Scene()
        scene.cs = 0x33
        #expect(scene.repaired == nil)
        scene = Scene()
        scene.gate.isUsable = false
        #expect(scene.repaired == nil)
    }

    @Test func `a kernel for indirect branch tracking stands behind the ENDBR64 of its handler`() {
        var scene = Scene()
        scene.hasEndBranch = true
        #expect(scene.repaired == nil)
        scene.registers.rip += 4
        #expect(scene.repaired?.rip == scene.repair.lstar)
        scene.hasEndBranch = false
        #expect(scene.repaired == nil)
    }

    @Test func `the fault must be at LSTAR, from CPL 3`() {
        var scene = Scene()
        scene.cr2 += 1
        #expect(scene.repaired == nil)
        scene = Scene()
        scene.frame.rip += 1
        #expect(scene.repaired == nil)
        scene = Scene()
        scene.repair.lstar += 1
        #expect(scene.repaired == nil)
        for selector in [0x30, 0x31, 0x32] as [UInt64] {
            scene = Scene()
            scene.frame.cs = selector
            #expect(scene.repaired == nil)
            scene = Scene()
            scene.frame.ss = selector
            #expect(scene.repaired == nil)
        }
    }

    @Test func `a gate is read from its 16 bytes`() {
        let bytes: [UInt8] = [0xD0, 0x0B, 0x10, 0x00, 0x00, 0x8E, 0x80, 0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]
        let gate = unsafe InterruptGate(bytes.span.bytes)
        #expect(gate == InterruptGate(handler: 0xFFFF_FFFF_8180_0BD0, selector: 0x10))
        var absent = bytes
        absent[5] = 0x0E
        #expect(unsafe !InterruptGate(absent.span.bytes).isUsable)
        absent[5] = 0x8C
        #expect(unsafe !InterruptGate(absent.span.bytes).isUsable)
    }

    @Test func `a frame is read from its 48 bytes`() {
        var bytes = [UInt8](repeating: 0, count: 48)
        for (index, value) in ([0x15, 2, 3, 0x202, 5, 6] as [UInt64]).enumerated() {
            bytes.storeInteger(value, at: 8 * index)
        }
        let expected = PageFaultFrame(
            errorCode: 0x15,
            rip: 2,
            cs: 3,
            rflags: [.alwaysOne, .interruptEnable],
            rsp: 5,
            ss: 6
        )
        #expect(unsafe PageFaultFrame(bytes.span.bytes) == expected)
    }
}
