// SPDX-License-Identifier: Apache-2.0

/// The name of a machine and of its folder: it contains nothing that could lead out of the folder.
package struct MachineName: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String

    package static let rule = "1 to 64 letters, digits, hyphens, underscores and dots, the first a letter or digit"

    /// `nil` for a text that breaks the rule.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, bytes.count <= 64 else { return nil }
        guard Self.isAlphanumeric(first), bytes.allSatisfy({ Self.isAlphanumeric($0) || Self.others.contains($0) })
        else {
            return nil
        }
        self.text = text
    }

    private static let others = Array("-_.".utf8)

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: false
        }
    }

    private init(checked text: String) {
        self.text = text
    }

    /// A name that is short to type: `m-3f9a`.
    package static func random() -> MachineName {
        let number = String(UInt32.random(in: 0..<1 << 16), radix: 16)
        return MachineName(checked: "m-" + String(repeating: "0", count: 4 - number.count) + number)
    }

    package static func < (left: MachineName, right: MachineName) -> Bool { left.text < right.text }

    package var description: String { text }
}
