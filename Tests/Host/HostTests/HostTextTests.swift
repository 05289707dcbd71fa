// SPDX-License-Identifier: Apache-2.0

import Host
import SystemPackage
import Testing

@Suite struct HostTextTests {
    @Test(
        arguments: [
            [], [0x61], [0xe9], [0x61, 0xe9, 0x62], [0xff, 0xfe, 0x80], [0xc3, 0xa9], [0xc3], [0xe2, 0x82],
            [0xe2, 0x82, 0xac, 0xe2], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf0, 0x9f, 0x98, 0x80],
            [0xf5, 0x80, 0x80, 0x80],
            // U+10FE80 itself, which stands for the byte 0x80.
            [0xf4, 0x8f, 0xba, 0x80], [0x0a, 0x7f],
        ] as [[UInt8]]
    )
    func `any bytes have a text that gives them back`(bytes: [UInt8]) {
        let text = String(hostBytes: bytes)
        #expect(text.hostBytes == bytes)
        // As text it is whole: JSON and UTF-8 carry it.
        #expect(String(validating: Array(text.utf8), as: UTF8.self) == text)
    }

    @Test func `bytes that are UTF-8 are that text`() {
        #expect(String(hostBytes: Array("naïve 😀 €".utf8)) == "naïve 😀 €")
        #expect(String(hostBytes: [0x61, 0xe9]) == "a\u{10fee9}")
    }

    @Test func `random bytes come back`() {
        var generator = SystemRandomNumberGenerator()
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            #expect(String(hostBytes: bytes).hostBytes == bytes)
        }
    }

    @Test func `a path keeps the bytes of its text`() {
        let path = FilePath(hostText: String(hostBytes: Array("/tmp/k".utf8) + [0xe9]))
        let bytes = unsafe path.withPlatformString { unsafe String(hostString: $0) }.hostBytes
        #expect(bytes == Array("/tmp/k".utf8) + [0xe9])
        #expect(FilePath(hostText: path.hostText) == path)
        #expect(FilePath(hostText: "") == FilePath())
    }
}
