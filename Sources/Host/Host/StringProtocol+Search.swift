// SPDX-License-Identifier: Apache-2.0

extension StringProtocol {
    /// Returns whether a text is part of this one.
    ///
    /// The standard library's `contains` would link its engine for regular expressions into every program: ten pages that
    /// each start must relocate.
    package func has(_ text: String) -> Bool {
        Array(utf8).firstIndex(ofPart: Array(text.utf8)) != nil
    }
}

extension [UInt8] {
    /// Searches for a sequence of bytes.
    ///
    /// - Parameter part: The bytes; an empty sequence is at the start.
    /// - Returns: The index of the first byte of the first match; `nil` for no match.
    package func firstIndex(ofPart part: [UInt8]) -> Int? {
        guard count >= part.count else { return nil }
        return (0...count - part.count).first { self[$0...].starts(with: part) }
    }
}
