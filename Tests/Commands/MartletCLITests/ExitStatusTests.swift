// SPDX-License-Identifier: Apache-2.0

import Machine
import Testing
import TestSupport

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct ExitStatusTests {
    @Test(arguments: [0, 1, 2, 42, 128, 255] as [UInt8])
    func `the exit-status port ends martlet with the guest's own status`(status: UInt8) throws {
        let result = try Martlet(guest: [.exit(status), .spin], "--exit-status-port").runToEnd()
        #expect(result.termination == .exited(CInt(status)))
        #expect(!result.messages.contains("stopped"))
    }

    @Test func `without the option the exit-status port is dead and the guest goes on`() throws {
        let result = try Martlet(guest: [.exit(7), .write("still here"), .powerOff, .spin]).runToEnd()
        #expect(result.text == "still here")
        #expect(result.termination == .exited(0))
    }

    @Test func `ACPI soft-off ends martlet with 0`() throws {
        let result = try Martlet(guest: [.write("bye"), .powerOff, .spin]).runToEnd()
        #expect(result.termination == .exited(0))
        #expect(result.text == "bye")
    }

    @Test(arguments: [
        ("the reset register", GuestCode.resetByRegister), ("the keyboard controller", .resetByKeyboardController),
    ])
    func `a reset by either way ends martlet with 0`(way: String, code: GuestCode) throws {
        #expect(try Martlet(guest: [code, .spin]).runToEnd().termination == .exited(0), "by \(way)")
    }

    @Test func `a panic told through pvpanic ends martlet with 2 and says so`() throws {
        let result = try Martlet(guest: [.panic, .spin]).runToEnd()
        #expect(result.termination == .exited(2))
        #expect(result.messages.contains("panicked"))
    }

    @Test func `a warm reset, which Linux is asked to make after a panic, ends martlet with 2`() throws {
        let result = try Martlet(guest: [.store(0x1234, at: 0x472), .resetByKeyboardController, .spin]).runToEnd()
        #expect(result.termination == .exited(2))
        #expect(result.messages.contains("panicked"))
    }

    @Test(arguments: [["--cmdline", "reboot=w"], ["--cmdline-only", "quiet"]])
    func `a warm reset that the user's own parameters may ask for is a reset`(options: [String]) throws {
        let guest = TinyELF([.store(0x1234, at: 0x472), .resetByKeyboardController, .spin])
        #expect(try Martlet(image: guest, options).runToEnd().termination == .exited(0))
    }

    @Test(arguments: ["1", "3"])
    func `a guest that halts with interrupts off ends martlet with 0 and says so`(vcpuCount: String) throws {
        let result = try Martlet(guest: [.haltForGood], "--cpus", vcpuCount).runToEnd()
        #expect(result.termination == .exited(0))
        #expect(result.messages.contains("halted"))
    }

    @Test func `a triple fault ends martlet with 2 and says so`() throws {
        let result = try Martlet(guest: [.tripleFault]).runToEnd()
        #expect(result.termination == .exited(2))
        #expect(result.messages.contains("triple fault"))
    }

    @Test(.enabled(if: InterpretedHost.isThisHost, "needs a KVM that interprets guest kernel code"))
    func `an instruction that nothing here executes ends martlet with 1, its bytes and the registers`() throws {
        // mov eax, 0x1234abcd; vdpps ymm0, ymm1, ymm2, 3
        let guest = TinyELF(machineCode: [0xb8, 0xcd, 0xab, 0x34, 0x12, 0xc4, 0xe3, 0x75, 0x40, 0xc2, 0x03, 0xf4])
        let result = try Martlet(image: guest).runToEnd()
        #expect(result.termination == .exited(1))
        #expect(result.messages.contains("cannot execute an instruction"))
        #expect(result.messages.contains("code: c4 e3 75 40 c2 03"))
        #expect(result.messages.contains("rax=000000001234abcd"))
        #expect(result.messages.contains("rip=0000000000100005"))
    }
}
