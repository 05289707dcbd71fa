// SPDX-License-Identifier: Apache-2.0

import Martlet
import TestSupport
import Testing

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct ConsoleTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private static func count(to byteCount: Int) -> [UInt8] {
        (0..<byteCount).map { UInt8(truncatingIfNeeded: $0) }
    }

    @Test func `a reader gets what the guest sends, up to its end`() async throws {
        let machine = try Machines.machine([.write("hello, world"), .powerOff, .spin], in: folder)
        async let text = machine.console.first(.max)
        try await machine.start()
        #expect(await text == Array("hello, world".utf8))
    }

    @Test func `what was sent before anybody reads is kept, also behind the end of the machine`() async throws {
        let machine = try Machines.machine([.write("early"), .powerOff, .spin], in: folder)
        try await machine.start()
        #expect(await machine.waitUntilStopped() == .poweredOff)
        #expect(await machine.console.first(.max) == Array("early".utf8))
    }

    @Test func `a guest waits for a reader that is slow, and no byte is lost`() async throws {
        let byteCount = 160_000
        let machine = try Machines.machine([.countPolitely(byteCount: byteCount), .powerOff, .spin], in: folder)
        var reader = machine.console.makeAsyncIterator()
        try await machine.start()
        #expect(await reader.next() == 0)
        // Not read on until the guest has nothing left to do but wait: it cannot have ended, with so much more to send.
        try await machine.pause()
        try await machine.resume()
        #expect(machine.state == .running)
        var bytes: [UInt8] = [0]
        while let byte = await reader.next() { bytes.append(byte) }
        #expect(bytes == Self.count(to: byteCount))
        #expect(machine.console.lostByteCount == 0)
        #expect(await machine.waitUntilStopped() == .poweredOff)
    }

    @Test func `nobody waits where nobody reads, and the last bytes are kept`() async throws {
        let byteCount = 160_000
        let machine = try Machines.machine([.countPolitely(byteCount: byteCount), .powerOff, .spin], in: folder)
        try await machine.start()
        #expect(await machine.waitUntilStopped() == .poweredOff)
        #expect(await machine.console.first(.max) == Self.count(to: byteCount).suffix(128 << 10))
        #expect(machine.console.lostByteCount == 0)
    }

    @Test func `a reader that goes away holds the guest back no longer`() async throws {
        let machine = try Machines.machine([.countPolitely(byteCount: 160_000), .powerOff, .spin], in: folder)
        try await machine.start()
        #expect(await machine.console.first(1).count == 1)
        #expect(await machine.waitUntilStopped() == .poweredOff)
    }

    @Test func `what a guest sends without a look at its line is counted where a reader loses it`() async throws {
        let code: [GuestCode] = [.repeating([.out(0x3f8, 0x2e)], count: 300_000), .powerOff, .spin]
        let machine = try Machines.machine(code, in: folder)
        var reader = machine.console.makeAsyncIterator()
        try await machine.start()
        #expect(await machine.waitUntilStopped() == .poweredOff)
        var byteCount = 0
        while await reader.next() != nil { byteCount += 1 }
        #expect(byteCount == 256 << 10)
        #expect(machine.console.byteCount == 300_000)
        #expect(machine.console.lostByteCount == UInt64(300_000 - byteCount))
    }

    @Test func `every reader gets every byte`() async throws {
        let machine = try Machines.machine([.echo(byteCount: 1000), .powerOff, .spin], in: folder)
        async let one = machine.console.first(.max)
        async let other = machine.console.first(.max)
        try await machine.start()
        let sent = Self.count(to: 1000)
        try await machine.console.write(sent)
        #expect(await one == sent)
        #expect(await other == sent)
    }

    @Test func `what is written before the start reaches the guest`() async throws {
        let machine = try Machines.machine([.echo(byteCount: 5), .powerOff, .spin], in: folder)
        try await machine.console.write("first")
        try await machine.start()
        #expect(await machine.console.first(.max) == Array("first".utf8))
    }

    @Test func `whoever writes more than is kept waits, and is told when the machine ends`() async throws {
        let machine = try Machines.machine([.spin], in: folder)
        try await machine.start()
        let writer = Task { try await machine.console.write([UInt8](repeating: 0x2e, count: 4 << 20)) }
        try await machine.stop()
        let error = await #expect(throws: MartletError.self) { try await writer.value }
        #expect(error?.code == .consoleClosed)
    }

    @Test func `a task that is cancelled stops to wait for bytes and for room`() async throws {
        let machine = try Machines.machine([.spin], in: folder)
        try await machine.start()
        let reader = Task { await machine.console.first(.max) }
        let writer = Task { try await machine.console.write([UInt8](repeating: 0x2e, count: 4 << 20)) }
        reader.cancel()
        writer.cancel()
        #expect(await reader.value.isEmpty)
        await #expect(throws: MartletError.self) { try await writer.value }
        try await machine.stop()
    }

    @Test func `a guest sees a break in its line status`() async throws {
        let machine = try Machines.machine([.write("up"), .waitForBits(0x10, in: 0x3fd), .exit(5), .spin], in: folder)
        try await machine.start()
        #expect(await machine.console.first(2) == Array("up".utf8))
        machine.console.sendBreak()
        #expect(await machine.waitUntilStopped() == .exited(5))
    }

    @Test func `a reader of a machine that is dropped comes to its end`() async throws {
        let console = try Machines.machine([.spin], in: folder).console
        #expect(await console.first(.max).isEmpty)
    }

    @Test func `a console that leads to files writes them, and has nothing to read here`() async throws {
        let configuration = try Machines.configuration([.write("to a file"), .powerOff, .spin], in: folder)
        let file = try OpenFile(folder.write([], to: "console"), isWritable: true)
        let attachment = SerialConsoleAttachment.fileDescriptors(output: file.descriptor, input: nil)
        let machine = try VirtualMachine(configuration: configuration, console: attachment)
        try await machine.start()
        #expect(await machine.waitUntilStopped() == .poweredOff)
        #expect(try folder.read("console") == Array("to a file".utf8))
        #expect(await machine.console.first(.max).isEmpty)
        await #expect(throws: MartletError.self) { try await machine.console.write("x") }
    }

    @Test func `a console that leads nowhere holds no guest back`() async throws {
        let configuration = try Machines.configuration([.countPolitely(byteCount: 160_000), .powerOff], in: folder)
        let machine = try VirtualMachine(configuration: configuration, console: .disconnected)
        try await machine.start()
        #expect(await machine.waitUntilStopped() == .poweredOff)
    }
}
