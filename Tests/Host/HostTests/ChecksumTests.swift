// SPDX-License-Identifier: Apache-2.0

import CHost
import Testing

@Suite struct ChecksumTests {
    /// RFC 3720, B.4, and the check value of the catalogue of CRCs.
    private static let vectors: [([UInt8], UInt32)] = [
        (Array("123456789".utf8), 0xe306_9283), (Array(repeating: 0, count: 32), 0x8a91_36aa),
        (Array(repeating: 0xff, count: 32), 0x62a8_ab43), (Array(0..<32), 0x46dd_794e), ([], 0),
    ]

    @Test(arguments: vectors) func `the CRC is the one of iSCSI`(bytes: [UInt8], crc: UInt32) {
        #expect(unsafe chost_crc32c(0, bytes, bytes.count) == crc)
    }

    @Test func `a CRC goes on where another one ended`() {
        let bytes = Array("123456789".utf8)
        let first = unsafe chost_crc32c(0, bytes, 4)
        #expect(unsafe chost_crc32c(first, Array(bytes[4...]), 5) == 0xe306_9283)
    }
}
