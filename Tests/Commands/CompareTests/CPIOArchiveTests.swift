// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Compare

@Suite struct CPIOArchiveTests {
    @Test func `each entry is a header of 110 characters, a name and contents, each up to a multiple of four`() {
        var archive = CPIOArchive()
        archive.addProgram("ab", [1, 2, 3, 4, 5])
        let bytes = archive.finished()
        let header = String(decoding: bytes[..<110], as: UTF8.self)
        #expect(header.hasPrefix("070701" + "00000001" + "000081ED"))
        #expect(header.hasSuffix("00000003" + "00000000"))
        #expect(bytes[110..<121].elementsEqual(Array("ab\0\0\0\0".utf8) + [1, 2, 3, 4, 5]))
        #expect(bytes.count % 4 == 0)
        #expect(String(decoding: bytes, as: UTF8.self).contains("TRAILER!!!"))
    }

    @Test func `a device has its numbers`() {
        var archive = CPIOArchive()
        archive.addCharacterDevice("dev/console", major: 5, minor: 1)
        let header = String(decoding: archive.finished()[..<110], as: UTF8.self)
        #expect(header.dropFirst(6 + 8 * 9).prefix(16) == "0000000500000001")
    }
}
