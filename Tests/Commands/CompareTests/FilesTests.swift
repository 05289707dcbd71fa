// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage
import TestSupport
import Testing

@testable import Compare

@Suite struct FilesTests {
    @Test func `a folder is removed with all in it, and what its links lead to stays`() throws {
        let folder = try TemporaryFolder()
        let (inner, outer) = ("\(folder.path)/inner", "\(folder.path)/outer")
        for path in [inner, "\(inner)/deep", outer] { try Files.makeFolder(path) }
        for path in ["\(inner)/deep/file", "\(outer)/file"] { try Files.write([1], to: path) }
        #expect(unsafe symlink(outer, "\(inner)/link") == 0)
        Files.remove(inner)
        #expect(!FilePath(inner).exists)
        #expect(FilePath("\(outer)/file").exists)
    }
}
