// SPDX-License-Identifier: Apache-2.0

/// The place of a region, in the guest and in this process: a plain value, good for as long as its region lives.
@safe
package struct GuestMemoryExtent: Sendable {
    /// The first guest physical address.
    package let start: GuestAddress
    /// The size in bytes.
    package let byteCount: UInt64
    // Immutable; an extent keeps its region alive.
    nonisolated(unsafe) let base: UnsafeMutableRawPointer

    init(start: GuestAddress, byteCount: UInt64, base: UnsafeMutableRawPointer) {
        (self.start, self.byteCount) = (start, byteCount)
        unsafe self.base = base
    }

    /// The number of bytes from `address` on that lie in the region; 0 when `address` does not.
    package func contiguousByteCount(from address: GuestAddress) -> UInt64 {
        guard let offset = address.distance(from: start), offset < byteCount else { return 0 }
        return byteCount - offset
    }

    /// The host address of `address`, which must lie in the region.
    @unsafe
    func pointer(to address: GuestAddress) -> UnsafeMutableRawPointer {
        unsafe base + Int(address.rawValue - start.rawValue)
    }
}
