// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import OCIImage
import SystemPackage
import TestSupport
import Testing

@Suite struct FileTreeTests {
    /// Unpacks layers, one on the other, and gives all paths that result.
    private func unpack(_ layers: [TarArchive], byteLimit: Int64 = 1 << 20) throws -> Result {
        let folder = try TemporaryFolder()
        var tree = try FileTree(FilePath(folder.path), byteLimit: byteLimit)
        for layer in layers {
            tree.startLayer()
            var reader = TarReader(tree)
            try reader.append(layer.whole[...])
            try reader.finish()
            tree = reader.sink
        }
        return Result(folder: folder)
    }

    private struct Result {
        let folder: TemporaryFolder

        func has(_ path: String) -> Bool {
            var status = stat()
            return unsafe lstat("\(folder.path)/\(path)", &status) == 0
        }

        func text(_ path: String) throws -> String {
            String(
                decoding: try FileContents.bytes(of: FilePath("\(folder.path)/\(path)"), limit: 1 << 20),
                as: UTF8.self
            )
        }
    }

    private func layer(_ fill: (inout TarArchive) -> Void) -> TarArchive {
        var archive = TarArchive()
        fill(&archive)
        return archive
    }

    @Test func `a layer replaces, hides and adds files of the one below`() throws {
        let result = try unpack([
            layer {
                $0.add("etc/", type: "5", mode: 0o755)
                $0.add("etc/old", contents: Array("old".utf8))
                $0.add("etc/kept", contents: Array("kept".utf8))
                $0.add("gone/a", contents: [1])
                $0.add("opaque/lower", contents: [1])
                $0.add("opaque/both/lower", contents: [1])
            },
            layer {
                $0.add("etc/old", contents: Array("new".utf8))
                $0.add(".wh.gone")
                $0.add("opaque/upper", contents: [1])
                $0.add("opaque/both/upper", contents: [1])
                $0.add("opaque/both/", type: "5", mode: 0o755)
                $0.add("opaque/.wh..wh..opq")
            },
        ])
        #expect(try result.text("etc/old") == "new")
        #expect(try result.text("etc/kept") == "kept")
        #expect(!result.has("gone") && !result.has(".wh.gone"))
        #expect(result.has("opaque/upper") && result.has("opaque/both/upper"))
        #expect(!result.has("opaque/lower") && !result.has("opaque/both/lower"))
    }

    @Test func `a folder that a lower layer made a link is written through, inside the root`() throws {
        let result = try unpack([
            layer {
                $0.add("usr/bin/", type: "5", mode: 0o755)
                $0.add("bin", type: "2", target: "/usr/bin")
            },
            layer { $0.add("bin/sh", contents: Array("x".utf8), mode: 0o755) },
        ])
        #expect(try result.text("usr/bin/sh") == "x")
    }

    @Test func `a hostile link leads nowhere but to the root itself`() throws {
        let outside = try TemporaryFolder()
        for target in ["../../../../..\(outside.path)", outside.path] {
            let hostile = layer {
                $0.add("link", type: "2", target: target)
                $0.add("link/file", contents: [1])
            }
            #expect(throws: ImageError.self) { try unpack([hostile]) }
            let inside = layer { $0.add(String(outside.path.dropFirst()) + "/", type: "5", mode: 0o755) }
            #expect(try unpack([inside, hostile]).has("\(outside.path)/file"))
        }
        #expect(try FolderListing.names(in: outside.path).isEmpty)
        let replaced = try unpack([
            layer {
                $0.add("here", type: "2", target: "/etc/passwd")
                $0.add("here", contents: Array("x".utf8))
            }
        ])
        #expect(try replaced.text("here") == "x")
    }

    @Test(arguments: ["", "../"])
    func `a combining mark behind a slash makes no other character of it`(up: String) throws {
        let outside = try TemporaryFolder()
        let hostile = layer {
            $0.add("link", type: "2", target: outside.path)
            $0.add("\(up.isEmpty ? "link/" : up)\u{338}file", contents: [1])
        }
        #expect(throws: ImageError.self) { try unpack([hostile]) }
        #expect(try FolderListing.names(in: outside.path).isEmpty)
    }

    @Test func `folders that links nest beyond the length of a path are refused`() throws {
        let deep = String(repeating: "d/", count: 1000)
        #expect(throws: ImageError.self) {
            try unpack([
                layer {
                    $0.addRecords([("path", deep)])
                    $0.add("deep", type: "5", mode: 0o755)
                    $0.addRecords([("linkpath", deep)])
                    $0.add("link", type: "2")
                    $0.addRecords([("path", "link/" + deep)])
                    $0.add("deeper", type: "5", mode: 0o755)
                    $0.add("link/d/d/d/file")
                }
            ])
        }
    }

    @Test func `names that differ in how a letter is composed are two files`() throws {
        let result = try unpack([
            layer { $0.add("\u{e9}") },
            layer {
                $0.add("e\u{301}")
                $0.add(".wh.\u{e9}")
            },
        ])
        #expect(try FolderListing.names(in: result.folder.path).map { $0.hostBytes } == ["e\u{301}".hostBytes])
    }

    @Test(arguments: ["../evil", "a/../../evil", "/../evil", "..", "a/.wh..", "a/.wh..."])
    func `a path that leads up is refused`(path: String) {
        #expect(throws: ImageError.self) { try unpack([layer { $0.add(path, contents: [1]) }]) }
    }

    @Test func `a hard link to what is outside, or not there, is refused`() {
        for target in ["../../etc/passwd", "/etc/passwd", "nosuch", ""] {
            #expect(throws: ImageError.self) { try unpack([layer { $0.add("link", type: "1", target: target) }]) }
        }
    }

    @Test func `hard links are one file`() throws {
        let result = try unpack([
            layer {
                $0.add("a", contents: [1])
                $0.add("b", type: "1", target: "/a")
            }
        ])
        var (one, other) = (stat(), stat())
        #expect(unsafe lstat("\(result.folder.path)/a", &one) == 0 && lstat("\(result.folder.path)/b", &other) == 0)
        #expect(one.st_ino == other.st_ino && one.st_nlink == 2)
    }

    @Test func `a file is not written beyond the limit of the image`() {
        #expect(throws: ImageError.self) {
            try unpack([layer { $0.add("bomb", contents: [UInt8](repeating: 0, count: 100_000)) }], byteLimit: 10_000)
        }
    }

    @Test func `a file takes the place of a folder, and a folder that of a file`() throws {
        let result = try unpack([
            layer {
                $0.add("a/b/c", contents: [1])
                $0.add("d", contents: [1])
            },
            layer {
                $0.add("a", contents: Array("file".utf8))
                $0.add("d/", type: "5", mode: 0o700)
                $0.add("d/e", contents: [1])
            },
        ])
        #expect(try result.text("a") == "file" && result.has("d/e"))
    }
}
