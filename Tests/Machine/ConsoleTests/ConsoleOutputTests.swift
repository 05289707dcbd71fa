// SPDX-License-Identifier: Apache-2.0

import Console
import Devices
import Glibc
import Host
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite struct ConsoleOutputTests {
    /// A console output that writes to a pipe, whose reader is the test.
    private final class Rig: Sendable {
        let output: MachineConsole
        let port: SerialPort
        private let line = RecordingInterruptLine()
        let failures: Mutex<[Errno]>
        private let writeEnd: FileDescriptor

        init(_ pipe: TestSupport.Pipe, dropsOutput: Bool = false) throws {
            writeEnd = FileDescriptor(rawValue: pipe.writeEnd)
            let link = FailureLink()
            output = try MachineConsole(replays: false)
            var attachment = ConsoleAttachment(output: writeEnd)
            attachment.dropsOutput = dropsOutput
            try output.connect(attachment) { event in
                if case .outputFailed(let errno) = event { link.rig.withLock { $0 }?.note(errno) }
            }
            port = SerialPort(interrupt: line, output: output)
            failures = Mutex([])
            link.rig.withLock { $0 = self }
            try output.start(port: port)
        }

        func note(_ errno: Errno) { failures.withLock { $0.append(errno) } }

        func send(_ count: Int, from first: Int = 0) {
            for number in first..<(first + count) { _ = output.write(UInt8(truncatingIfNeeded: number)) }
        }

        var isPipeWritable: Bool {
            var set = pollfd(fd: writeEnd.rawValue, events: Int16(POLLOUT), revents: 0)
            return unsafe poll(&set, 1, 0) == 1
        }

        /// Waits for the writer, and closes the pipe for the reader to see its end.
        func finish() throws {
            output.finish()
            try writeEnd.close()
        }
    }

    private final class FailureLink: Sendable {
        let rig = Mutex<Rig?>(nil)
    }

    /// Sends until the pipe is full: from then on the writer's thread waits, however late it began.
    private func fill(_ rig: Rig, _ reader: ByteStream) throws -> Int {
        var sent = 0
        while rig.isPipeWritable {
            rig.send(32 << 10, from: sent)
            sent += 32 << 10
            try Deadline.wait(for: "\(sent) bytes in the pipe, or as many as it takes") {
                !rig.isPipeWritable || reader.waitingByteCount == sent
            }
        }
        return sent
    }

    /// Returns whether `bytes` count up from 0, modulo 256.
    private func isCount(_ bytes: [UInt8]) -> Bool {
        bytes.indices.allSatisfy { bytes[$0] == UInt8(truncatingIfNeeded: $0) }
    }

    @Test func `bytes come out in order, all of them`() throws {
        let pipe = try TestSupport.Pipe()
        let rig = try Rig(pipe)
        let reader = try ByteStream(input: pipe.readEnd, output: nil)
        rig.send(10_000)
        #expect(try isCount(reader.read(count: 10_000)))
        rig.send(5_000)
        try rig.finish()
        #expect(try reader.readToEnd().count == 5_000)
        #expect(rig.output.droppedByteCount == 0)
    }

    @Test func `a reader that stalls takes the room away, and gives it back when it goes on`() throws {
        let pipe = try TestSupport.Pipe()
        let rig = try Rig(pipe)
        let reader = try ByteStream(input: pipe.readEnd, output: nil)
        var sent = try fill(rig, reader)
        // The output holds what is below its mark.
        while rig.output.hasRoom, sent < 1 << 20 {
            rig.port.writeByte(UInt8(truncatingIfNeeded: sent), at: 0)
            sent += 1
        }
        #expect(sent >= MachineConsole.outputMark && sent < 1 << 20)
        // The line is busy.
        #expect(rig.port.readByte(at: 5) & 0x60 == 0)
        let received = try reader.read(count: sent)
        try Deadline.wait(for: "room") { rig.output.hasRoom && rig.port.readByte(at: 5) & 0x60 == 0x60 }
        #expect(isCount(received))
        #expect(rig.output.droppedByteCount == 0)
        try rig.finish()
    }

    @Test func `of what comes without room the last bytes are kept, and what gave way is counted`() throws {
        let pipe = try TestSupport.Pipe()
        let rig = try Rig(pipe)
        let reader = try ByteStream(input: pipe.readEnd, output: nil)
        let first = try fill(rig, reader)
        // The last of what was sent may still be in the ring.
        let piped = reader.waitingByteCount
        let sent = first + MachineConsole.capacity + (1 << 19)
        rig.send(sent - first, from: first)
        // The last bytes are those that are kept.
        let kept = Array(sent - MachineConsole.capacity..<sent).map { UInt8(truncatingIfNeeded: $0) }
        try Deadline.wait(for: "all that is kept") {
            _ = try reader.read(count: max(1, reader.waitingByteCount))
            return reader.received.count + Int(rig.output.droppedByteCount) == sent
        }
        try rig.finish()
        try reader.readToEnd()
        #expect(rig.output.droppedByteCount > 0)
        let hasLast = reader.received.suffix(kept.count) == kept[...]
        let hasFirst = isCount(Array(reader.received.prefix(piped)))
        #expect(hasLast && hasFirst)
    }

    @Test func `an output that drops keeps no guest waiting, and gets what comes once it is read again`() throws {
        let pipe = try TestSupport.Pipe()
        let rig = try Rig(pipe, dropsOutput: true)
        let reader = try ByteStream(input: pipe.readEnd, output: nil)
        let first = try fill(rig, reader)
        let sent = first + 2 * Int(MachineConsole.outputMark)
        rig.send(sent - first, from: first)
        try Deadline.wait(for: "room") { rig.output.hasRoom && rig.output.droppedByteCount > 0 }
        let piped = reader.waitingByteCount
        #expect(piped + Int(rig.output.droppedByteCount) == sent)
        #expect(try isCount(reader.read(count: piped)))
        try Deadline.wait(for: "what comes later") {
            rig.send(1)
            return reader.waitingByteCount > 0
        }
        try rig.finish()
    }

    @Test func `finish does not wait for an output that drops`() throws {
        let pipe = try TestSupport.Pipe()
        let rig = try Rig(pipe, dropsOutput: true)
        let reader = try ByteStream(input: pipe.readEnd, output: nil)
        _ = try fill(rig, reader)
        try rig.finish()
        #expect(rig.failures.withLock { $0 } == [])
    }

    @Test func `a reader that goes away is told once, and the guest has room for ever`() throws {
        let pipe = try TestSupport.Pipe()
        let rig = try Rig(pipe)
        let reader = try ByteStream(input: pipe.readEnd, output: nil)
        rig.send(Int(MachineConsole.outputMark) * 3)
        #expect(!rig.output.hasRoom)
        reader.close()
        try Deadline.wait(for: "the failure") { rig.failures.withLock { !$0.isEmpty } }
        try Deadline.wait(for: "room") { rig.output.hasRoom }
        rig.send(1000)
        try rig.finish()
        #expect(rig.failures.withLock { $0 } == [.brokenPipe])
        #expect(rig.output.droppedByteCount > 1000)
    }

    @Test(.timeLimit(.minutes(10)))
    func `the end does not wait for a terminal that takes nothing`() throws {
        let terminal = try PseudoTerminal()
        let file = FileDescriptor(rawValue: unsafe open(terminal.path, O_WRONLY | O_NOCTTY))
        let console = try MachineConsole(replays: false, terminalPatience: .milliseconds(50))
        try console.connect(ConsoleAttachment(output: file)) { _ in }
        try console.start(port: SerialPort(interrupt: RecordingInterruptLine(), output: console))
        for number in 0..<(256 << 10) { _ = console.write(UInt8(truncatingIfNeeded: number)) }
        console.finish()
        #expect(console.droppedByteCount > 0)
        try file.close()
        withExtendedLifetime(terminal) {}
    }

    @Test func `finish returns for a stalled reader once the rest is abandoned`() throws {
        let pipe = try TestSupport.Pipe()
        let rig = try Rig(pipe)
        let reader = try ByteStream(input: pipe.readEnd, output: nil)
        rig.send(Int(MachineConsole.outputMark) * 3)
        rig.output.abandonOutput()
        try rig.finish()
        #expect(rig.failures.withLock { $0 } == [])
        #expect(rig.output.droppedByteCount > 0)
        try reader.readToEnd()
        #expect(reader.received.count + Int(rig.output.droppedByteCount) == Int(MachineConsole.outputMark) * 3)
    }
}
