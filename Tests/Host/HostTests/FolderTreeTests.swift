// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage
import TestSupport
import Testing

struct FolderTreeTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func path(_ name: String) -> FilePath { FilePath("\(folder.path)/\(name)") }

    @Test func `a folder is made with those above it, and one that is there is left alone`() throws {
        try FolderTree.make(path("a/b/c"), mode: 0o700)
        try FolderTree.make(path("a/b/c"))
        var status = stat()
        #expect(unsafe stat(path("a/b/c").string, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o700)
    }

    @Test func `a folder beneath a file cannot be made`() throws {
        _ = try folder.write([], to: "file")
        #expect(throws: Errno.notDirectory) { try FolderTree.make(path("file/a")) }
    }

    @Test func `all goes with a folder, but nothing behind a link`() throws {
        try FolderTree.make(path("kept"))
        try FolderTree.make(path("tree/closed/below"))
        #expect(unsafe symlink(path("kept").string, path("tree/link").string) == 0)
        #expect(unsafe chmod(path("tree/closed").string, 0) == 0)
        FolderTree.remove(path("tree"))
        #expect(try folder.names() == ["kept"])
    }
}
