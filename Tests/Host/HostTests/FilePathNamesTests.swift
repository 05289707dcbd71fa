// SPDX-License-Identifier: Apache-2.0

import Host
import SystemPackage
import Testing

@Suite struct FilePathNamesTests {
    @Test(arguments: ["/a", "/a/b", "a", "a/b", "/", "a/b/", ".", "..", "../a", "//a//b", "/a/..", "a b/é", ""])
    func `a path's folder and last name are those of its components`(text: String) {
        let path = FilePath(text)
        let folder = path.removingLastComponent()
        #expect(path.parent == (folder.isEmpty ? "." : folder))
        #expect(path.lastName == path.lastComponent?.string ?? "")
    }

    @Test func `a name keeps bytes that are no UTF-8`() {
        let path = FilePath(hostText: String(hostBytes: Array("/k".utf8) + [0xe9] + Array("/m".utf8) + [0xe9]))
        #expect(path.lastName.hostBytes == Array("m".utf8) + [0xe9])
        #expect(path.parent.hostText.hostBytes == Array("/k".utf8) + [0xe9])
    }

    @Test func `a path is made absolute from the folder that the process works in`() {
        #expect(FilePath("/a/b").absolute == "/a/b")
        #expect(FilePath("a").absolute.parent == FilePath(".").absolute.lexicallyNormalized())
    }
}
