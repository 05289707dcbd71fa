// SPDX-License-Identifier: Apache-2.0

extension StringProtocol {
    /// Returns whether a text is part of this one.
    ///
    /// By `contains` of the standard library, its engine for regular expressions would be in every program: ten pages that
    /// each start must relocate.
    package func has(_ text: String) -> Bool {
        let (bytes, wanted) = (Array(utf8), Array(text.utf8))
        guard bytes.count >= wanted.count else { return false }
        return (0...bytes.count - wanted.count).contains { bytes[$0...].starts(with: wanted) }
    }
}
