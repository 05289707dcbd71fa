// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite struct FileTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func path(_ name: String) -> FilePath { FilePath("\(folder.path)/\(name)") }

    @Test func `a file is read whole, up to a limit`() throws {
        let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        _ = try folder.write(bytes, to: "file")
        #expect(try FileContents.bytes(of: path("file"), limit: 100_000) == bytes)
        #expect(throws: FileContents.Failure.tooLarge(limit: 99_999)) {
            try FileContents.bytes(of: path("file"), limit: 99_999)
        }
    }

    @Test func `what is no regular file is refused without waiting for it`() throws {
        let result = unsafe mkfifo(path("pipe").string, 0o600)
        try #require(result == 0)
        for name in ["pipe", "."] {
            #expect(throws: FileContents.Failure.notAFile) { try FileContents.bytes(of: path(name), limit: 1) }
        }
        #expect(throws: FileContents.Failure.notAFile) { try FileContents.bytes(of: "/dev/zero", limit: 1) }
        #expect(throws: FileContents.Failure.system(.noSuchFileOrDirectory)) {
            try FileContents.bytes(of: path("nothing"), limit: 1)
        }
    }

    @Test func `a symbolic link is followed only where that is wanted`() throws {
        _ = try folder.write([1], to: "file")
        let result = unsafe symlink("file", path("link").string)
        try #require(result == 0)
        #expect(try FileContents.bytes(of: path("link"), limit: 1) == [1])
        #expect(throws: FileContents.Failure.system(.tooManySymbolicLinkLevels)) {
            try FileContents.bytes(of: path("link"), limit: 1, followsLinks: false)
        }
    }

    @Test func `a pipe is read to its end where any file will do, non-blocking or not`() throws {
        let (read, write) = try FileDescriptor.pipe()
        defer { try? read.close() }
        try #require(fcntl(read.rawValue, F_SETFL, O_NONBLOCK) == 0)
        let writer = try HostThread("writer") {
            for _ in 0..<1000 { try? write.write(all: Array(repeating: 7, count: 100)) }
            try? write.close()
        }
        #expect(try FileContents.bytes(of: read, limit: 1 << 20, kind: .any).count == 100_000)
        writer.join()
    }

    @Test func `all is written to a non-blocking pipe whose reader is slow`() throws {
        let (read, write) = try FileDescriptor.pipe()
        defer { try? read.close() }
        try #require(fcntl(write.rawValue, F_SETFL, O_NONBLOCK) == 0)
        let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let writer = try HostThread("writer") {
            try? write.write(all: bytes)
            try? write.close()
        }
        // The pipe is full before a byte is read.
        while !Poll.wait(for: write, .writable, timeout: .zero).isEmpty {}
        #expect(try FileContents.bytes(of: read, limit: 1 << 20, kind: .any) == bytes)
        writer.join()
    }

    @Test func `a file that is made has its permissions whatever the umask is`() async {
        await #expect(processExitsWith: .success) {
            umask(0o777)
            let folder = try TemporaryFolder()
            defer { withExtendedLifetime(folder) {} }
            unsafe chmod(folder.path, 0o700)
            let path = FilePath("\(folder.path)/file")
            let file = try OwnedDescriptor(opening: path, O_WRONLY | O_CREAT, mode: [.ownerReadWrite, .groupRead])
            var status = stat()
            unsafe fstat(file.rawValue, &status)
            #expect(status.st_mode & 0o777 == 0o640)
        }
    }

    @Test func `messages that nobody takes are dropped and counted, and their sender never waits`() throws {
        let (read, write) = try FileDescriptor.pipe()
        defer { try? read.close() }
        let queue = MessageQueue(write)
        try queue.start()
        let line = String(repeating: ".", count: 1023) + "\n"
        for _ in 0..<1000 { queue.write(line.utf8) }
        var text: [UInt8] = []
        while !String(decoding: text.suffix(2048), as: UTF8.self).contains("messages were lost") {
            text += try read.readSome(limit: 1 << 16)
        }
        let lineCount = text.count { $0 == UInt8(ascii: "\n") } - 1
        #expect(lineCount < 1000)
        #expect(String(decoding: text, as: UTF8.self).contains("martlet: \(1000 - lineCount) messages were lost"))
        queue.write("after\n".utf8)
        queue.flush(within: .seconds(60))
        #expect(try read.readSome(limit: 100) == Array("after\n".utf8))
    }
}

@Suite struct PrintableTests {
    @Test(arguments: [
        ("plain, also ü and 漢", "plain, also ü and 漢"),
        ("\u{1b}]0;title\u{7}", "^[]0;title^G"),
        ("one\nline", "one^Jline"),
        ("\u{7f}\u{9b}31m", "^?<U+009B>31m"),
        ("\u{202e}abc", "<U+202E>abc"),
    ])
    func `text of others shows its controls instead of obeying them`(text: String, shown: String) {
        #expect(printable(text) == shown)
    }

    @Test func `lines stay where there may be several`() {
        #expect(printable("a\tb\nc\r", keepsLines: true) == "a\tb\nc^M")
    }

    @Test func `a stream keeps its text and colours, wherever it is cut, and nothing else`() {
        let stream =
            Array("\u{1b}[0;1;31mred ü漢\u{1b}[m\r\n\u{1b}]0;t\u{7}\u{1b}[2J\u{202e}".utf8) + [
                0x9b, 0xc3, 0x28, 0xc2, 0x9b, 0xe6,
            ]
        let shown = "\u{1b}[0;1;31mred ü漢\u{1b}[m\r\n^[]0;t^G^[[2J\\xe2\\x80\\xae\\x9b\\xc3(\\xc2\\x9b\\xe6"
        for size in 1...stream.count {
            var filter = PrintableStream()
            var result: [UInt8] = []
            for start in stride(from: 0, to: stream.count, by: size) {
                result += filter.process(stream[start..<min(start + size, stream.count)])
            }
            result += filter.finish()
            #expect(String(decoding: result, as: UTF8.self) == shown)
        }
    }

    @Test func `what looks like a colour and never ends is shown`() {
        var filter = PrintableStream()
        let endless = filter.process(Array("\u{1b}[".utf8) + Array(repeating: UInt8(ascii: "1"), count: 100))
        #expect(endless.starts(with: Array("^[[111".utf8)))
    }
}
