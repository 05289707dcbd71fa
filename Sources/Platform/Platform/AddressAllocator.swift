// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// Hands out windows of one range of guest physical addresses, from the bottom up.
package struct AddressAllocator: Hashable, Sendable {
    private var next: UInt64
    private let end: UInt64

    /// - Parameter range: A range of `X86Layout`.
    package init(_ range: Range<GuestAddress>) {
        (next, end) = (range.lowerBound.rawValue, range.upperBound.rawValue)
    }

    /// Takes the next window.
    ///
    /// - Parameter byteCount: Its size, a power of two; it is aligned to that.
    /// - Returns: Its start, or `nil` where no room is left.
    package mutating func allocate(byteCount: UInt64) -> GuestAddress? {
        precondition(byteCount.nonzeroBitCount == 1, "a window has a power of two of bytes")
        let (above, isTooFar) = next.addingReportingOverflow(byteCount - 1)
        let start = above & ~(byteCount - 1)
        guard !isTooFar, start < end, byteCount <= end - start else { return nil }
        next = start + byteCount
        return GuestAddress(rawValue: start)
    }
}
