// SPDX-License-Identifier: Apache-2.0

import Martlet
import TestSupport
import Testing

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct VirtualMachineTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    @Test func `this host runs machines`() {
        #expect(VirtualMachine.isSupported)
        #expect(VirtualMachine.hostProblems == [])
    }

    @Test func `a machine is stopped, runs, and has ended with what its guest says`() async throws {
        let machine = try Machines.machine([.echo(byteCount: 1), .exit(7), .spin], in: folder)
        #expect(machine.state == .stopped)
        try await machine.start()
        #expect(machine.state == .running)
        try await machine.console.write("x")
        #expect(await machine.waitUntilStopped() == .exited(7))
        #expect(machine.state == .ended)
        #expect(await machine.waitUntilStopped() == .exited(7))
    }

    @Test(arguments: [
        ("powers off", GuestCode.powerOff, VirtualMachine.Outcome.poweredOff),
        ("resets", .resetByRegister, .reset),
        ("panics", .panic, .panicked),
        ("faults", .tripleFault, .tripleFault),
        ("halts for good", .haltForGood, .halted),
    ])
    func `the outcome tells how a guest ended`(
        _: String,
        code: GuestCode,
        outcome: VirtualMachine.Outcome
    ) async throws {
        let machine = try Machines.machine([code, .spin], in: folder)
        try await machine.start()
        #expect(await machine.waitUntilStopped() == outcome)
    }

    @Test func `stop ends a machine that would run for ever, any number of times`() async throws {
        let machine = try Machines.machine([.spin], in: folder)
        try await machine.start()
        try await machine.stop()
        #expect(machine.state == .ended)
        try await machine.stop()
        #expect(await machine.waitUntilStopped() == .stopped)
    }

    @Test func `a machine starts once`() async throws {
        let machine = try Machines.machine([.spin], in: folder)
        try await machine.start()
        let error = await #expect(throws: MartletError.self) { try await machine.start() }
        #expect(error?.code == .alreadyStarted)
        try await machine.stop()
    }

    @Test func `a paused machine stands still until it is resumed, and can be stopped`() async throws {
        let machine = try Machines.machine([.echoForever], in: folder)
        try await machine.start()
        try await machine.pause()
        try await machine.pause()
        #expect(machine.state == .paused)
        try await machine.console.write("later")
        let error = #expect(throws: MartletError.self) { try machine.requestStop() }
        #expect(error?.message.contains("paused") == true)
        try await machine.resume()
        #expect(machine.state == .running)
        #expect(await machine.console.text(upTo: "later") == "later")
        try await machine.pause()
        try await machine.stop()
        #expect(machine.state == .ended)
    }

    @Test func `what needs a machine that runs is refused before and after`() async throws {
        func expectNotRunning(_ machine: VirtualMachine) async {
            #expect(await #expect(throws: MartletError.self) { try await machine.pause() }?.code == .notRunning)
            #expect(await #expect(throws: MartletError.self) { try await machine.resume() }?.code == .notRunning)
            #expect(#expect(throws: MartletError.self) { try machine.requestStop() }?.code == .notRunning)
            #expect(#expect(throws: MartletError.self) { try machine.pressPowerButton() }?.code == .notRunning)
            #expect(#expect(throws: MartletError.self) { try machine.pressControlAltDelete() }?.code == .notRunning)
        }
        let machine = try Machines.machine([.powerOff, .spin], in: folder)
        await expectNotRunning(machine)
        #expect(await #expect(throws: MartletError.self) { try await machine.stop() }?.code == .notRunning)
        try await machine.start()
        #expect(await machine.waitUntilStopped() == .poweredOff)
        await expectNotRunning(machine)
    }

    @Test func `a guest that is asked to stop hears of it`() async throws {
        // The keyboard controller has a byte for it: Ctrl-Alt-Del, as it is a guest that did not find ACPI's tables.
        let machine = try Machines.machine([.write("up"), .waitForBits(1, in: 0x64), .exit(3), .spin], in: folder)
        try await machine.start()
        #expect(await machine.console.first(2) == Array("up".utf8))
        try machine.requestStop()
        let outcome = await machine.waitUntilStopped()
        #expect(outcome == .exited(3))
    }

    @Test func `a guest sees its power button, and Ctrl-Alt-Del`() async throws {
        let code: [GuestCode] = [
            .write("up"), .waitForBits(1, in: 0x603), .write("!"), .waitForBits(1, in: 0x64), .exit(4),
        ]
        let machine = try Machines.machine(code, in: folder)
        try await machine.start()
        var console = machine.console.makeAsyncIterator()
        #expect(await console.next() == UInt8(ascii: "u"))
        try machine.pressPowerButton()
        #expect(await console.next() == UInt8(ascii: "p"))
        #expect(await console.next() == UInt8(ascii: "!"))
        try machine.pressControlAltDelete()
        #expect(await machine.waitUntilStopped() == .exited(4))
    }

    @Test func `what keeps a machine from starting is told by its code and in words`() throws {
        func refused(_ change: (inout MachineConfiguration) -> Void) throws -> MartletError? {
            var configuration = try Machines.configuration([.spin], in: folder)
            change(&configuration)
            return #expect(throws: MartletError.self) { try VirtualMachine(configuration: configuration) }
        }
        let kernel = try refused { $0.bootSource?.kernelPath = "/nowhere/kernel" }
        #expect(kernel?.code == .boot)
        #expect(kernel?.message.contains("/nowhere/kernel") == true)
        let ramdisk = try refused { $0.bootSource?.initrdPath = "/nowhere/ramdisk" }
        #expect(ramdisk?.code == .boot)
        let disk = try refused { $0.drives = [Drive("disk", path: "/nowhere/disk")] }
        #expect(disk?.code == .storage)
        #expect(disk?.message.contains("/nowhere/disk") == true)
        #expect(try refused { $0.size.vcpuCount = 0 }?.code == .invalidConfiguration)
    }

    @Test func `a machine counts what its vCPUs do, and the memory that it got`() async throws {
        let code: [GuestCode] = [.repeating([.read(0x64)], count: 7), .exit(0), .spin]
        let machine = try Machines.machine(code, in: folder)
        #expect(machine.statistics.cpus.map(\.portReadCount) == [0])
        try await machine.start()
        #expect(await machine.waitUntilStopped() == .exited(0))
        let statistics = machine.statistics
        #expect(statistics.cpus.map(\.portReadCount) == [7])
        #expect(try #require(statistics.residentMemorySize) > 0)
        #expect(statistics.droppedConsoleByteCount == 0)
    }

    @Test func `what the host's files do wrong is said to the logger`() async throws {
        let log = RecordingLog()
        let configuration = try Machines.configuration([.write("x"), .powerOff, .spin], in: folder)
        let file = try OpenFile(folder.write([], to: "console"), isWritable: false)
        let console = SerialConsoleAttachment.fileDescriptors(output: file.descriptor, input: nil)
        let machine = try VirtualMachine(configuration: configuration, console: console, logger: log.logger)
        try await machine.start()
        #expect(await machine.waitUntilStopped() == .poweredOff)
        #expect(log.messages.contains { $0.hasPrefix("the console cannot be written: ") })
    }
}
