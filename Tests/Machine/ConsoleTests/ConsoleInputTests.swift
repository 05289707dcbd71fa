// SPDX-License-Identifier: Apache-2.0

import Console
import Devices
import Glibc
import Host
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite struct ConsoleInputTests {
    /// A console input that reads a descriptor and feeds a serial port, whose guest is the test.
    private final class Rig {
        let console: MachineConsole
        let port: SerialPort

        init(reading descriptor: CInt, prefix: UInt8? = nil) throws {
            let link = EventLink()
            console = try MachineConsole(replays: false)
            var attachment = ConsoleAttachment(input: FileDescriptor(rawValue: descriptor))
            attachment.filter = EscapeFilter(prefix: prefix)
            try console.connect(attachment) { event in link.events.withLock { $0.append("\(event)") } }
            self.link = link
            port = SerialPort(interrupt: RecordingInterruptLine(), output: RecordingSerialOutput(), input: console)
            try console.start(port: port)
        }

        deinit { console.finish() }

        private let link: EventLink
        var eventNames: [String] { link.events.withLock { $0 } }

        func receive(_ count: Int) throws -> [UInt8] { try port.receive(count) }
    }

    private final class EventLink: Sendable {
        let events = Mutex<[String]>([])
    }

    @Test func `a pipe's bytes reach the guest whole and in order, and its end is no event`() throws {
        let pipe = try TestSupport.Pipe()
        let source = FileDescriptor(rawValue: pipe.readEnd)
        defer { try? source.close() }
        let rig = try Rig(reading: pipe.readEnd)
        let writer = try ByteStream(input: nil, output: pipe.writeEnd)
        let bytes = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try writer.write(bytes)
        writer.close()
        #expect(try rig.receive(bytes.count) == bytes)
        #expect(rig.eventNames == [])
    }

    @Test func `commands are told, and what is around them reaches the guest`() throws {
        let pipe = try TestSupport.Pipe()
        let source = FileDescriptor(rawValue: pipe.readEnd)
        defer { try? source.close() }
        let rig = try Rig(reading: pipe.readEnd, prefix: 0x01)
        let writer = try ByteStream(input: nil, output: pipe.writeEnd)
        try writer.write("a\u{1}pb\u{1}\u{1}c")
        #expect(try rig.receive(4) == Array("ab\u{1}c".utf8))
        #expect(rig.eventNames.count == 1)
        #expect(rig.eventNames.first?.contains("powerButton") == true)
    }

    @Test func `a break reaches the guest behind the bytes before it`() throws {
        let pipe = try TestSupport.Pipe()
        let source = FileDescriptor(rawValue: pipe.readEnd)
        defer { try? source.close() }
        let rig = try Rig(reading: pipe.readEnd, prefix: 0x01)
        let writer = try ByteStream(input: nil, output: pipe.writeEnd)
        try writer.write("ab\u{1}b")
        #expect(try rig.receive(2) == Array("ab".utf8))
        let breakIndicator: UInt8 = 1 << 4
        try Deadline.wait(for: "the break") { rig.port.readByte(at: 5) & breakIndicator != 0 }
    }

    @Test func `its file may be closed and its number be another file's`() throws {
        let pipe = try TestSupport.Pipe()
        let rig = try Rig(reading: pipe.readEnd)
        try FileDescriptor(rawValue: pipe.readEnd).close()
        let writer = try ByteStream(input: nil, output: pipe.writeEnd)
        try writer.write("here")
        #expect(try rig.receive(4) == Array("here".utf8))
    }

    @Test func `a file that is not open is an input without bytes`() throws {
        let rig = try Rig(reading: -1)
        #expect(rig.eventNames == [])
    }

    @Test func `a terminal that hangs up is an event`() throws {
        let terminal = try PseudoTerminal()
        let line = FileDescriptor(rawValue: unsafe open(terminal.path, O_RDWR | O_NOCTTY | O_CLOEXEC))
        defer { try? line.close() }
        let rig = try Rig(reading: line.rawValue)
        terminal.hangUp()
        try Deadline.wait(for: "the event") { !rig.eventNames.isEmpty }
        #expect(rig.eventNames == ["hangUp"])
    }

    @Test func `nothing that was typed reaches a paused guest, and all of it when it goes on`() throws {
        let pipe = try TestSupport.Pipe()
        let source = FileDescriptor(rawValue: pipe.readEnd)
        defer { try? source.close() }
        let rig = try Rig(reading: pipe.readEnd, prefix: 0x01)
        rig.console.pause()
        let writer = try ByteStream(input: nil, output: pipe.writeEnd)
        try writer.write("ab\u{1}bcd\u{1}p")
        // Commands are obeyed all the same, and the last one shows that what was before it was read.
        try Deadline.wait(for: "the command") { !rig.eventNames.isEmpty }
        for _ in 0..<1000 { #expect(rig.port.readByte(at: 5) & 1 == 0) }
        let state = rig.console.state
        #expect(state.typed.bytes == Array("abcd".utf8))
        #expect(state.lineBreaks == [2])
        rig.console.resume()
        #expect(try rig.receive(2) == Array("ab".utf8))
    }

    @Test func `a console that is restored gives the guest what it had not taken`() throws {
        var state = ConsoleState()
        state.typed = Base64(Array("typed".utf8))
        state.sent = Base64(Array("sent".utf8))
        state.sentByteCount = 1000
        let console = try MachineConsole()
        console.restore(state)
        defer { console.finish() }
        #expect(console.state == state)
        #expect(console.byteCount == 1000)
        #expect(console.makeViewer(wantsToType: false)?.firstPosition == 996)
        let port = SerialPort(interrupt: RecordingInterruptLine(), output: console, input: console)
        try console.start(port: port)
        var bytes: [UInt8] = []
        try Deadline.wait(for: "the bytes") {
            while port.readByte(at: 5) & 1 != 0 { bytes.append(port.readByte(at: 0)) }
            return bytes.count == 5
        }
        #expect(bytes == Array("typed".utf8))
    }
}
