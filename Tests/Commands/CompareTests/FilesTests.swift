// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

@testable import Compare

@Suite struct FilesTests {
    @Test func `a folder is one's own, and a link to it, a file and a folder of another user's are not`() throws {
        let folder = try TemporaryFolder()
        let (link, file) = ("\(folder.path)/link", "\(folder.path)/file")
        #expect(unsafe symlink(folder.path, link) == 0)
        try Files.write([], to: file)
        #expect(Files.isOwnFolder(folder.path))
        #expect(!Files.isOwnFolder(link))
        #expect(!Files.isOwnFolder(file))
        #expect(!Files.isOwnFolder("/nowhere"))
        #expect(Files.isOwnFolder("/") == (geteuid() == 0))
    }

    @Test func `a folder is removed with all in it, and what its links lead to stays`() throws {
        let folder = try TemporaryFolder()
        let (inner, outer) = ("\(folder.path)/inner", "\(folder.path)/outer")
        for path in [inner, "\(inner)/deep", outer] { try Files.makeFolder(path) }
        for path in ["\(inner)/deep/file", "\(outer)/file"] { try Files.write([1], to: path) }
        #expect(unsafe symlink(outer, "\(inner)/link") == 0)
        Files.remove(inner)
        #expect(!Files.isThere(inner))
        #expect(Files.isThere("\(outer)/file"))
    }
}
