// SPDX-License-Identifier: Apache-2.0

package import Glibc

/// The places in this process's memory that hold one frame, for calls by which the kernel copies it.
///
/// Made once and filled again and again. A guest may change the bytes at any time, so nobody reads them: they are copied
/// as it is, and `have` is for statistics. The memory must outlive every use.
@safe
package struct FrameVectors {
    /// The first one is free for a back end's prefix of a frame.
    private var vectors: [iovec] = unsafe [iovec()]
    /// The first vector of the frame, after those that `removeFirst` has consumed.
    private var first = 1
    /// The size of all places together.
    package private(set) var byteCount = 0
    /// The number of used-up vectors that are kept: to remove them one by one would move the others each time.
    private static let usedUpMaximum = 64

    package init() {}

    package mutating func removeAll() {
        unsafe vectors.removeLast(vectors.count - 1)
        first = 1
        byteCount = 0
    }

    /// Appends a place; one that begins at the end of the last place makes that longer.
    ///
    /// Fewer places cost the kernel less: the buffers of a network driver often lie side by side.
    @unsafe
    package mutating func append(_ place: iovec) {
        unsafe byteCount += place.iov_len
        let last = unsafe vectors.count - 1
        if last >= first, unsafe vectors[last].iov_base?.advanced(by: vectors[last].iov_len) == place.iov_base {
            return unsafe vectors[last].iov_len += place.iov_len
        }
        if first > Self.usedUpMaximum {
            unsafe vectors.removeSubrange(1..<first)
            first = 1
        }
        unsafe vectors.append(place)
    }

    /// Points to a part of other places.
    ///
    /// `count` is at most as much as there is.
    package mutating func replace(by other: borrowing FrameVectors, from offset: Int, count: Int) {
        removeAll()
        unsafe other.forEachPiece(from: offset, count: count) { place, _, count in
            unsafe append(iovec(iov_base: place, iov_len: count))
        }
    }

    /// Takes the first bytes away.
    ///
    /// - Parameter count: At most all of them.
    package mutating func removeFirst(_ count: Int) {
        var left = min(count, byteCount)
        byteCount -= left
        while left > 0 {
            var vector = unsafe vectors[first]
            let step = unsafe min(left, vector.iov_len)
            left -= step
            // A used-up vector is not looked at again.
            if unsafe step == vector.iov_len {
                first += 1
                continue
            }
            unsafe vector.iov_len -= step
            unsafe vector.iov_base = vector.iov_base?.advanced(by: step)
            unsafe vectors[first] = vector
        }
    }

    /// Leaves only the first bytes.
    ///
    /// - Parameter count: The number to keep; a larger number changes nothing.
    package mutating func keepFirst(_ count: Int) {
        guard count < byteCount else { return }
        var (left, index) = (count, first)
        while unsafe left > vectors[index].iov_len {
            unsafe left -= vectors[index].iov_len
            index += 1
        }
        unsafe vectors[index].iov_len = left
        unsafe vectors.removeSubrange((index + 1)...)
        byteCount = count
    }

    /// Calls `body` with all places, after `prefix` where there is one.
    @unsafe
    mutating func withVectors<R>(
        prefixed prefix: iovec? = nil,
        _ body: (UnsafePointer<iovec>, Int) -> R
    ) -> R {
        let start = unsafe prefix == nil ? first : first - 1
        // Vectors that `removeFirst` has consumed are no longer needed, and the first vector is free in any case.
        if let prefix = unsafe prefix { unsafe vectors[start] = prefix }
        return unsafe vectors.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("the first vector is always there") }
            return unsafe body(base + start, buffer.count - start)
        }
    }

    /// Writes bytes to the places.
    ///
    /// `offset` is counted through all places; bytes without a place are dropped.
    @unsafe
    package func copy(_ bytes: UnsafeRawBufferPointer, to offset: Int = 0) {
        unsafe forEachPiece(from: offset, count: bytes.count) { place, position, count in
            guard let start = bytes.baseAddress else { return }
            unsafe place.copyMemory(from: start + position, byteCount: count)
        }
    }

    /// Adds the bytes from `offset` on to an array, at most `count`.
    package func append(to bytes: inout [UInt8], from offset: Int, count: Int = .max) {
        unsafe forEachPiece(from: offset, count: min(count, byteCount - offset)) { place, _, count in
            unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: place, count: count))
        }
    }

    /// Compares bytes in their place.
    ///
    /// `bytes` are eight at most, the first one lowest; `offset` is counted through all places.
    package func have(_ bytes: UInt64, count: Int, at offset: Int) -> Bool {
        // A driver's frames mostly lie in one place.
        if let place = unsafe vectors.last, unsafe first == vectors.count - 1, unsafe place.iov_len >= offset + 8,
            let start = unsafe place.iov_base
        {
            let found = unsafe UInt64(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            return found & (~0 >> UInt64(64 - 8 * count)) == bytes
        }
        var found: UInt64 = 0
        unsafe withUnsafeMutableBytes(of: &found) { found in
            unsafe forEachPiece(from: offset, count: min(count, found.count)) { place, position, count in
                unsafe found.baseAddress?.advanced(by: position).copyMemory(from: place, byteCount: count)
            }
        }
        return UInt64(littleEndian: found) == bytes
    }

    private func forEachPiece(from offset: Int, count: Int, _ body: (UnsafeMutableRawPointer, Int, Int) -> Void) {
        var (skip, done, index) = (offset, 0, first)
        while done < count, unsafe index < vectors.count {
            let vector = unsafe vectors[index]
            index += 1
            let skipped = unsafe min(skip, vector.iov_len)
            skip -= skipped
            let step = unsafe min(vector.iov_len - skipped, count - done)
            guard step > 0, let place = unsafe vector.iov_base else { continue }
            unsafe body(place + skipped, done, step)
            done += step
        }
    }
}
