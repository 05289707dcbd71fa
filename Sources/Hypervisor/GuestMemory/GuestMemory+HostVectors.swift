// SPDX-License-Identifier: Apache-2.0

package import Glibc

/// A piece of this process's memory, as `readv` and `writev` take it.
package typealias HostVector = iovec

extension GuestMemory {
    /// The place of bytes of the guest in this process where they lie in one region, as nearly all do; see `appendHostVectors`.
    @unsafe
    package func hostVector(of range: GuestRange) -> HostVector? {
        let byteCount = UInt64(range.byteCount)
        for extent in extents where byteCount > 0 && extent.contiguousByteCount(from: range.address) >= byteCount {
            return unsafe iovec(iov_base: extent.pointer(to: range.address), iov_len: Int(byteCount))
        }
        return nil
    }

    /// Adds to `vectors` where bytes of the guest lie in this process, for a call by which the kernel copies them.
    ///
    /// The one way by which addresses leave: input and output at the speed of the disk allows no second copy. Nobody may
    /// follow them, since the guest may change the bytes at any time; and they are valid only while this memory is.
    ///
    /// One vector is added for each region that the range touches; none where it throws.
    @unsafe
    package func appendHostVectors(of range: GuestRange, to vectors: inout [HostVector]) throws(GuestMemoryError) {
        if let vector = unsafe hostVector(of: range) { return unsafe vectors.append(vector) }
        let count = unsafe vectors.count
        var (address, left) = (range.address, UInt64(range.byteCount))
        while left > 0 {
            let piece = unsafe extent(containing: address).map { extent in
                let pieceByteCount = min(left, extent.contiguousByteCount(from: address))
                return unsafe iovec(iov_base: extent.pointer(to: address), iov_len: Int(pieceByteCount))
            }
            guard let piece = unsafe piece else {
                unsafe vectors.removeSubrange(count...)
                throw .outOfRange(range.address, byteCount: UInt64(range.byteCount))
            }
            unsafe vectors.append(piece)
            left -= UInt64(unsafe piece.iov_len)
            guard left > 0 else { return }
            guard let next = address.advanced(by: UInt64(unsafe piece.iov_len)) else {
                unsafe vectors.removeSubrange(count...)
                throw .outOfRange(range.address, byteCount: UInt64(range.byteCount))
            }
            address = next
        }
    }
}
