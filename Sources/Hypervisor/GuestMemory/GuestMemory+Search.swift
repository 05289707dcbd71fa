// SPDX-License-Identifier: Apache-2.0

import Glibc

extension GuestMemory {
    /// Returns whether the bytes `pattern` are somewhere in `range`.
    ///
    /// Searches copies of a piece each, so that the guest may write meanwhile and a pattern may lie in two regions.
    ///
    /// An empty pattern is everywhere. Throws `outOfRange` where a part of the range is not guest memory.
    package func contains(
        _ pattern: [UInt8],
        in range: Range<GuestAddress>
    ) throws(GuestMemoryError) -> Bool {
        guard !pattern.isEmpty else { return true }
        // Small enough for a processor's cache.
        let pieceByteCount = max(1 << 17, 2 * pattern.count)
        var piece = [UInt8](repeating: 0, count: pieceByteCount)
        var start = range.lowerBound.rawValue
        let end = range.upperBound.rawValue
        while end - start >= UInt64(pattern.count) {
            let byteCount = Int(min(end - start, UInt64(pieceByteCount)))
            var elements = piece.mutableSpan
            // SAFETY: every bit pattern is a UInt8.
            var bytes = unsafe elements.mutableBytes
            var part = bytes._mutatingExtracting(first: byteCount)
            try read(into: &part, at: GuestAddress(rawValue: start))
            if Self.contains(pattern, inFirst: byteCount, of: piece) { return true }
            // The next piece begins with what may be the pattern's first bytes.
            start += UInt64(byteCount - pattern.count + 1)
        }
        return false
    }

    /// As memmem(3), which Swift's Glibc does not have.
    private static func contains(_ pattern: [UInt8], inFirst byteCount: Int, of bytes: [UInt8]) -> Bool {
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe pattern.withUnsafeBytes { pattern in
                guard let start = bytes.baseAddress, let wanted = pattern.baseAddress else {
                    return false
                }
                var offset = 0
                while offset <= byteCount - pattern.count {
                    // SAFETY: only starts from which the whole pattern lies within the bytes are looked at.
                    let startCount = byteCount - pattern.count + 1 - offset
                    let match = unsafe memchr(start + offset, CInt(wanted.loadUnaligned(as: UInt8.self)), startCount)
                    guard let match = unsafe match else { return false }
                    if unsafe memcmp(match, wanted, pattern.count) == 0 { return true }
                    offset = unsafe UnsafeRawPointer(match) - start + 1
                }
                return false
            }
        }
    }
}
