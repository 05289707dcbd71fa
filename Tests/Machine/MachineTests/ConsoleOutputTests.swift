// SPDX-License-Identifier: Apache-2.0

import Glibc
import KVM
import Machine
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite struct ConsoleOutputTests {
    /// A console output that writes to a pipe, whose reader is the test.
    private final class Rig: Sendable {
        let output: ConsoleOutput
        let failures: Mutex<[Errno]>
        let roomCallCount = Atomic<Int>(0)
        private let writeEnd: FileDescriptor

        init(_ pipe: TestSupport.Pipe) throws {
            writeEnd = FileDescriptor(rawValue: pipe.writeEnd)
            let link = FailureLink()
            output = try ConsoleOutput(file: writeEnd) { link.rig.withLock { $0 }?.note($0) }
            failures = Mutex([])
            link.rig.withLock { $0 = self }
            output.setRoomHandler { [unowned self] in roomCallCount.wrappingAdd(1, ordering: .relaxed) }
            output.start()
        }

        func note(_ errno: Errno) { failures.withLock { $0.append(errno) } }

        func send(_ count: Int, from first: Int = 0) {
            for number in first..<(first + count) { output.write(UInt8(truncatingIfNeeded: number)) }
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

    /// Whether `bytes` count up from 0, modulo 256.
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
            rig.send(1, from: sent)
            sent += 1
        }
        #expect(sent >= ConsoleOutput.highWaterMark && sent < 1 << 20)
        #expect(rig.roomCallCount.load(ordering: .relaxed) == 0)
        let received = try reader.read(count: sent)
        try Deadline.wait(for: "room") { rig.output.hasRoom && rig.roomCallCount.load(ordering: .relaxed) > 0 }
        #expect(isCount(received))
        #expect(rig.output.droppedByteCount == 0)
        try rig.finish()
    }

    @Test func `what comes without room is kept up to the capacity, and dropped and counted beyond`() throws {
        let pipe = try TestSupport.Pipe()
        let rig = try Rig(pipe)
        let reader = try ByteStream(input: pipe.readEnd, output: nil)
        let piped = try fill(rig, reader)
        let sent = piped + ConsoleOutput.capacity + (1 << 19)
        rig.send(sent - piped, from: piped)
        let dropped = rig.output.droppedByteCount
        #expect(dropped > 0)
        let kept = sent - Int(dropped)
        #expect(kept >= ConsoleOutput.capacity)
        #expect(try isCount(reader.read(count: kept)))
        try rig.finish()
        try reader.readToEnd()
        #expect(reader.received.count == kept)
    }

    @Test func `a reader that goes away is told once, and the guest has room for ever`() throws {
        let pipe = try TestSupport.Pipe()
        let rig = try Rig(pipe)
        let reader = try ByteStream(input: pipe.readEnd, output: nil)
        rig.send(ConsoleOutput.highWaterMark * 3)
        #expect(!rig.output.hasRoom)
        reader.close()
        try Deadline.wait(for: "the failure") { rig.failures.withLock { !$0.isEmpty } }
        try Deadline.wait(for: "room") { rig.output.hasRoom }
        rig.send(1000)
        try rig.finish()
        #expect(rig.failures.withLock { $0 } == [.brokenPipe])
        #expect(rig.roomCallCount.load(ordering: .relaxed) > 0)
        #expect(rig.output.droppedByteCount > 1000)
    }

    @Test func `finish returns for a stalled reader once the rest is abandoned`() throws {
        let pipe = try TestSupport.Pipe()
        let rig = try Rig(pipe)
        let reader = try ByteStream(input: pipe.readEnd, output: nil)
        rig.send(ConsoleOutput.highWaterMark * 3)
        rig.output.abandon()
        try rig.finish()
        #expect(rig.failures.withLock { $0 } == [])
        #expect(rig.output.droppedByteCount > 0)
        try reader.readToEnd()
        #expect(reader.received.count + Int(rig.output.droppedByteCount) == ConsoleOutput.highWaterMark * 3)
    }
}
