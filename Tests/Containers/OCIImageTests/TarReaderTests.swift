// SPDX-License-Identifier: Apache-2.0

import OCIImage
import Testing

@Suite struct TarReaderTests {
    private func read(_ bytes: [UInt8], step: Int? = nil) throws(ImageError) -> RecordingSink {
        var reader = TarReader(RecordingSink())
        let step = step ?? max(1, bytes.count)
        for start in stride(from: 0, to: bytes.count, by: step) {
            try reader.append(bytes[start..<min(start + step, bytes.count)])
        }
        try reader.finish()
        return reader.sink
    }

    @Test(arguments: [1, 511, 512, 513, 100_000])
    func `files, folders and links come out, wherever the archive is cut`(step: Int) throws {
        var archive = TarArchive()
        archive.add("folder/", type: "5", mode: 0o755)
        archive.add("folder/file", contents: [UInt8](repeating: 7, count: 1000), user: 5)
        archive.add("link", type: "2", target: "folder/file")
        archive.add("hard", type: "1", target: "folder/file")
        let sink = try read(archive.whole, step: step)
        #expect(sink.entries.map(\.path) == ["folder/", "folder/file", "link", "hard"])
        #expect(
            sink.entries.map(\.kind) == [
                .folder, .file, .symbolicLink(to: "folder/file"), .hardLink(to: "folder/file"),
            ]
        )
        #expect(sink.contents[1] == [UInt8](repeating: 7, count: 1000))
        #expect(sink.entries[1].user == 5 && sink.entries[1].mode == 0o644 && sink.entries[1].time == 1000)
    }

    @Test func `pax records and long names of GNU replace those of the header`() throws {
        var archive = TarArchive()
        let long = String(repeating: "long/", count: 60) + "name"
        archive.addRecords([("path", long), ("uid", "70000"), ("mtime", "5.5"), ("SCHILY.xattr.user.a", "b")])
        archive.add("short", contents: [1])
        archive.add("././@LongLink", type: "L", contents: Array("gnu/\(long)\0".utf8))
        archive.add("short")
        archive.add("next")
        let entries = try read(archive.whole).entries
        #expect(entries.map(\.path) == [long, "gnu/\(long)", "next"])
        #expect(entries[0].user == 70000 && entries[0].time == 5)
        #expect(
            entries[0].attributes.map(\.name) == ["user.a"] && entries[0].attributes.first?.value == Array("b".utf8)
        )
    }

    @Test func `a damaged, short or endless archive is refused in words`() {
        var archive = TarArchive()
        archive.add("file", contents: [1, 2, 3])
        var damaged = archive.whole
        damaged[3] ^= 1
        #expect(throws: ImageError("it is not a tar archive")) { try read(damaged) }
        #expect(throws: ImageError("the archive ends too early")) { try read(Array(archive.bytes.dropLast(512))) }
        #expect(throws: ImageError("the archive ends too early")) { try read([]) }
        var huge = TarArchive()
        huge.add("name", type: "L", size: "77777777777")
        #expect(throws: ImageError("a file's name or attributes are too long")) { try read(huge.whole) }
        var negative = TarArchive()
        negative.add("file", size: "-1")
        #expect(throws: ImageError.self) { try read(negative.whole) }
        var sparse = TarArchive()
        sparse.add("file", type: "S")
        #expect(throws: ImageError.self) { try read(sparse.whole) }
    }

    @Test(arguments: ["path", "linkpath"])
    func `a name with a zero byte, behind which the kernel reads nothing, is refused`(name: String) {
        var archive = TarArchive()
        archive.addRecords([(name, "..\0x")])
        archive.add("file", type: "2")
        #expect(throws: ImageError("'\(name == "path" ? "..^@x" : "file")' has a zero byte in its name")) {
            try read(archive.whole)
        }
    }

    @Test func `descriptions of a file that never comes are not kept without end`() {
        var archive = TarArchive()
        for number in 0..<20 { archive.addRecords([("name\(number)", String(repeating: "a", count: 100_000))]) }
        archive.add("file")
        #expect(throws: ImageError("a file's name or attributes are too long")) { try read(archive.whole) }
    }

    @Test(arguments: ["5 a=b\n", "99 a=b\n", "x a=b\n", "6 a=b", "0 a=b\n", "7 ab \n", "-1 a=b\n"])
    func `damaged pax records are refused`(records: String) {
        var archive = TarArchive()
        archive.add("pax", type: "x", contents: Array(records.utf8))
        archive.add("file")
        #expect(throws: ImageError.self) { try read(archive.whole) }
    }
}
