// SPDX-License-Identifier: Apache-2.0

import Console
import Devices
import Glibc
import Host
import Logging
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite struct ConsoleViewerTests {
    /// A console and the serial port of a guest, which the test plays.
    private final class Rig {
        let console: MachineConsole
        let port: SerialPort

        init(log: consuming ConsoleLog? = nil) throws {
            console = try MachineConsole(log: log, logger: Logger(label: "test"))
            port = SerialPort(interrupt: RecordingInterruptLine(), output: console, input: console)
            try console.start(port: port)
        }

        deinit { console.finish() }

        func send(_ text: String) {
            for byte in text.utf8 { port.writeByte(byte, at: 0) }
        }

        func receive(_ count: Int) throws -> String { String(decoding: try port.receive(count), as: UTF8.self) }

        /// A viewer's end of a connection.
        func attach(from position: UInt64? = nil, typing: Bool = true, typed: String = "") throws -> Viewer {
            let viewer = try #require(console.makeViewer(from: position, wantsToType: typing))
            var ends: [CInt] = [0, 0]
            let result = unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0, &ends)
            #expect(result == 0)
            // As the server of the API does: the host's default may be as large as all that is sent here.
            var byteCount: CInt = 128 << 10
            unsafe setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &byteCount, socklen_t(MemoryLayout<CInt>.size))
            viewer.connect(Connection(OwnedDescriptor(adopting: ends[0])), typed: Array(typed.utf8))
            return Viewer(
                stream: try ByteStream(input: ends[1], output: fcntl(ends[1], F_DUPFD_CLOEXEC, 0)),
                isTyping: viewer.isTyping,
                firstPosition: viewer.firstPosition
            )
        }
    }

    private final class Connection: ConsoleStream {
        private let owned: OwnedDescriptor

        init(_ owned: consuming OwnedDescriptor) {
            self.owned = owned
        }

        var descriptor: FileDescriptor { owned.borrowed }
    }

    private struct Viewer {
        let stream: ByteStream
        let isTyping: Bool
        let firstPosition: UInt64
    }

    @Test func `a viewer sees what was before, then what comes`() throws {
        let rig = try Rig()
        rig.send("before ")
        let viewer = try rig.attach()
        try viewer.stream.read(until: "before ")
        rig.send("after")
        try viewer.stream.read(until: "after")
    }

    @Test func `what a viewer types reaches the guest, also what came with its request`() throws {
        let rig = try Rig()
        let viewer = try rig.attach(typed: "first ")
        try viewer.stream.write("second")
        #expect(try rig.receive(12) == "first second")
    }

    @Test func `several watch and one types, until it leaves`() throws {
        let rig = try Rig()
        let first = try rig.attach()
        let second = try rig.attach()
        #expect(first.isTyping)
        #expect(!second.isTyping)
        try second.stream.write("not heard")
        try first.stream.write("heard")
        #expect(try rig.receive(5) == "heard")
        rig.send("both")
        try first.stream.read(until: "both")
        try second.stream.read(until: "both")
        first.stream.close()
        try Deadline.wait(for: "the keyboard") {
            rig.console.makeViewer(wantsToType: true)?.isTyping == true
        }
        // Whoever was given the keyboard and never connected has given it back.
        #expect(try rig.attach().isTyping)
    }

    @Test func `a viewer that comes back goes on where it was`() throws {
        let rig = try Rig()
        rig.send("0123456789")
        let viewer = try rig.attach(from: 4)
        #expect(viewer.firstPosition == 4)
        try viewer.stream.read(until: "456789")
        // From beyond the end there is nothing but what comes.
        #expect(try rig.attach(from: 1000).firstPosition == 10)
    }

    @Test func `only the last MiB is kept, and a viewer that is too slow is told what it missed`() throws {
        let rig = try Rig()
        let slow = try rig.attach()
        let line = String(repeating: "x", count: 1023) + "\n"
        for _ in 0..<1536 { rig.send(line) }
        #expect(rig.console.byteCount == 3 << 19)
        #expect(rig.console.makeViewer(wantsToType: false)?.firstPosition == 1 << 19)
        rig.send("the end")
        try slow.stream.read(until: "bytes were not shown]")
        try slow.stream.read(until: "the end")
    }

    @Test func `there is place for so many viewers, and for another one when one has left`() throws {
        let rig = try Rig()
        var viewers = try (0..<MachineConsole.viewerLimit).map { _ in try rig.attach() }
        #expect(rig.console.makeViewer(wantsToType: false) == nil)
        viewers.removeLast().stream.close()
        try Deadline.wait(for: "place") { rig.console.makeViewer(wantsToType: false) != nil }
    }

    @Test func `a viewer that sends no more watches on`() throws {
        let rig = try Rig()
        let viewer = try rig.attach()
        try viewer.stream.write("q")
        #expect(try rig.receive(1) == "q")
        viewer.stream.shutDownOutput()
        try Deadline.wait(for: "the keyboard") { rig.console.makeViewer(wantsToType: true)?.isTyping == true }
        rig.send("still here")
        try viewer.stream.read(until: "still here")
    }

    @Test func `the log has every byte, and begins anew when it is full`() throws {
        let folder = try TemporaryFolder()
        let path = FilePath("\(folder.path)/console.log")
        let rig = try Rig(log: try ConsoleLog(path: path, capacity: 1000))
        rig.send(String(repeating: "a", count: 900))
        let viewer = try rig.attach()
        try viewer.stream.read(until: String(repeating: "a", count: 900))
        rig.send(String(repeating: "b", count: 900))
        rig.console.finish()
        let older = try folder.read("console.log.1")
        let newer = try folder.read("console.log")
        #expect(older.count + newer.count == 1800)
        #expect(older.starts(with: Array(repeating: UInt8(ascii: "a"), count: 900)))
        #expect(newer.last == UInt8(ascii: "b"))
    }

    @Test func `viewers get the last bytes before the end`() throws {
        let rig = try Rig()
        let viewer = try rig.attach()
        rig.send("last words")
        rig.console.finish()
        try viewer.stream.read(until: "last words")
        try viewer.stream.readToEnd()
    }

    /// A guest's end that notes what it is sent.
    private final class RecordingPort: ConsolePort {
        private let seen = Mutex<[String]>([])

        var events: [String] { seen.withLock { $0 } }

        func receive(_ bytes: Span<UInt8>) -> Int {
            guard !bytes.isEmpty else { return 0 }
            let count = min(bytes.count, 3)
            let text = String(decoding: (0..<count).map { bytes[$0] }, as: UTF8.self)
            seen.withLock { $0.append(text) }
            return count
        }

        func receiveBreak() -> Bool { true }
        func receiveEnd() { seen.withLock { $0.append("end") } }
        func outputBecameReady() {}
    }

    @Test func `the end of a viewer's input comes behind all its bytes, and one that hangs up ends nothing`() throws {
        let console = try MachineConsole(logger: Logger(label: "test"))
        let port = RecordingPort()
        try console.start(port: port)
        defer { console.finish() }
        for hangsUp in [true, false] {
            let viewer = try #require(console.makeViewer(from: nil, wantsToType: true))
            var pair = try SocketPair(SOCK_STREAM)
            viewer.connect(Connection(try pair.take()))
            pair.write(Array("abcd".utf8))
            if !hangsUp { shutdown(pair.peer, CInt(SHUT_WR)) }
            let events = hangsUp ? "abcd" : "abcdabcdend"
            try Deadline.wait(for: "what was typed") {
                console.serialPortIsReady()
                return port.events.joined() == events
            }
            // The keyboard is free again when the hang-up was seen.
            pair.closePeer()
            if hangsUp {
                try Deadline.wait(for: "the keyboard") {
                    console.makeViewer(from: nil, wantsToType: true)?.isTyping == true
                }
            }
        }
        #expect(port.events.joined() == "abcdabcdend")
    }
}
