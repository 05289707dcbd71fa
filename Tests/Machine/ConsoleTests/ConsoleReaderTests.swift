// SPDX-License-Identifier: Apache-2.0

import Console
import Testing

@Suite struct ConsoleReaderTests {
    private static let capacity = 256 << 10
    private static let mark = 128 << 10
    private let channel: MachineConsole

    init() throws {
        channel = try MachineConsole(capacity: Self.capacity)
    }

    /// Has the guest send `count` bytes, each the low bits of its place.
    private func send(_ count: Int) {
        for index in 0..<count { _ = channel.write(UInt8(truncatingIfNeeded: index)) }
    }

    /// Reads `count` bytes, or up to the end.
    private func read(_ count: Int, from reader: MachineConsole.Reader) async -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let piece = await reader.read(limit: count - bytes.count)
            guard !piece.isEmpty else { break }
            bytes += piece
        }
        return bytes
    }

    @Test func `a reader gets what comes, and the rest when the channel is closed`() async {
        let reader = channel.makeReader()
        send(3)
        #expect(await reader.read(limit: 2) == [0, 1])
        channel.close()
        #expect(await reader.read(limit: 2) == [2])
        #expect(await reader.read(limit: 2) == [])
        #expect(channel.byteCount == 3)
    }

    @Test func `a guest that nobody reads has room, however much it sends`() {
        send(Self.capacity + 1)
        #expect(channel.hasRoom)
    }

    @Test func `a new reader begins as far back as it may be behind`() async {
        send(Self.capacity)
        let bytes = await read(Self.mark, from: channel.makeReader())
        #expect(bytes.count == Self.mark)
        #expect(channel.lostByteCount == 0)
    }

    @Test func `there is no room while a reader is too far behind, and again when it reads or goes`() async {
        for reads in [true, false] {
            var reader: MachineConsole.Reader? = channel.makeReader()
            send(Self.mark - 1)
            if reads { _ = await reader?.read(limit: .max) }
            send(Self.mark)
            #expect(!channel.hasRoom)
            if reads { _ = await reader?.read(limit: .max) } else { reader = nil }
            #expect(channel.hasRoom)
        }
    }

    @Test func `what a reader has not read of a guest that does not look is lost, and counted`() async {
        let reader = channel.makeReader()
        send(Self.capacity + 5)
        #expect(await reader.read(limit: 1) == [5])
        #expect(channel.lostByteCount == 5)
    }

    @Test func `whoever types more than is kept waits until the channel is closed, or the task is cancelled`()
        async throws
    {
        for isCancelled in [true, false] {
            let channel = try MachineConsole(capacity: Self.capacity)
            let typist = Task { await channel.type([UInt8](repeating: 0, count: 2 << 20)) }
            if isCancelled { typist.cancel() } else { channel.close() }
            #expect(await typist.value == false)
        }
    }
}
