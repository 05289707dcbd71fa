// SPDX-License-Identifier: Apache-2.0

import Host
import Testing

@Suite struct Base64Tests {
    /// The vectors of RFC 4648, section 10.
    private static let vectors: [(String, String)] = [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ]

    @Test(arguments: vectors) func `text and bytes are each other's`(bytes: String, text: String) {
        #expect(Base64(Array(bytes.utf8)).text == text)
        #expect(Base64(text: text)?.bytes == Array(bytes.utf8))
    }

    @Test func `all bytes come back`() {
        let bytes = (0..<1025).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        #expect(Base64(text: Base64(bytes).text)?.bytes == bytes)
    }

    @Test(arguments: ["Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zh==", "Zm9=", "Zm9v\n", "Zm-v", "Zé=="])
    func `other text than that of a value is refused`(text: String) {
        #expect(Base64(text: text) == nil)
    }
}
