// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// All RAM of one guest: disjoint regions, sorted by address.
///
/// Every access is bounds-checked, copies, and may cross from one region into an adjacent one. A copy is not atomic
/// towards a guest that writes at the same time, so read once and validate the copy.
package final class GuestMemory: Sendable {
    /// The regions, in ascending order of address.
    package let regions: [GuestMemoryRegion]
    /// The place of each region.
    ///
    /// A look-up here counts no references, and each request of a disk needs several.
    package let extents: [GuestMemoryExtent]

    /// Puts regions together to the memory of a guest.
    ///
    /// - Throws: `overlap` when two regions share an address.
    package init(regions: [GuestMemoryRegion]) throws(GuestMemoryError) {
        let sorted = regions.sorted { $0.start < $1.start }
        for (lower, upper) in zip(sorted, sorted.dropFirst()) where lower.last >= upper.start {
            throw .overlap(upper.start)
        }
        self.regions = sorted
        extents = sorted.map(\.extent)
    }

    /// The number of bytes of RAM.
    package var byteCount: UInt64 {
        regions.reduce(0) { $0 + $1.byteCount }
    }

    /// Returns whether the bytes `address ..< address + byteCount` are all guest RAM.
    package func contains(_ address: GuestAddress, byteCount: UInt64) -> Bool {
        // Nearly every range lies in one region; a virtqueue asks for each descriptor.
        for extent in extents where extent.contiguousByteCount(from: address) >= byteCount { return true }
        return containsPieces(address, byteCount: byteCount)
    }

    private func containsPieces(_ address: GuestAddress, byteCount: UInt64) -> Bool {
        (try? unsafe forEachPiece(at: address, byteCount: byteCount) { _, _, _ in }) != nil
    }

    // MARK: - Bytes

    /// Fills `bytes` with a copy of the guest's bytes at `address`.
    ///
    /// - Throws: `outOfRange`; then nothing was copied.
    package func read(into bytes: inout MutableRawSpan, at address: GuestAddress) throws(GuestMemoryError) {
        let count = UInt64(bytes.byteCount)
        try unsafe bytes.withUnsafeMutableBytes { buffer throws(GuestMemoryError) in
            try unsafe copyOut(to: buffer.baseAddress, byteCount: count, at: address)
        }
    }

    /// A copy of `byteCount` of the guest's bytes at `address`.
    package func read(byteCount: Int, at address: GuestAddress) throws(GuestMemoryError) -> [UInt8] {
        // Checked first, so that no caller allocates a size that a guest made up.
        guard byteCount >= 0, contains(address, byteCount: UInt64(byteCount)) else {
            throw .outOfRange(address, byteCount: UInt64(clamping: byteCount))
        }
        var bytes = [UInt8](repeating: 0, count: byteCount)
        var elements = bytes.mutableSpan
        var span = unsafe elements.mutableBytes
        try read(into: &span, at: address)
        return bytes
    }

    /// Copies `bytes` into the guest's memory at `address`.
    ///
    /// - Throws: `outOfRange`; then nothing was copied.
    package func write(_ bytes: RawSpan, at address: GuestAddress) throws(GuestMemoryError) {
        let count = UInt64(bytes.byteCount)
        try unsafe bytes.withUnsafeBytes { buffer throws(GuestMemoryError) in
            guard let source = buffer.baseAddress else { return }
            try unsafe forEachPiece(at: address, byteCount: count) { host, offset, pieceByteCount in
                unsafe host.copyMemory(from: source + offset, byteCount: pieceByteCount)
            }
        }
    }

    /// Copies `bytes` into the guest's memory at `address`.
    ///
    /// - Throws: `outOfRange`; then nothing was copied.
    package func write(_ bytes: [UInt8], at address: GuestAddress) throws(GuestMemoryError) {
        try unsafe write(bytes.span.bytes, at: address)
    }

    /// Sets `byteCount` bytes at `address` to `byte`.
    ///
    /// - Throws: `outOfRange`; then nothing was set.
    package func fill(_ byte: UInt8, byteCount: UInt64, at address: GuestAddress) throws(GuestMemoryError) {
        try unsafe forEachPiece(at: address, byteCount: byteCount) { host, _, pieceByteCount in
            _ = unsafe memset(host, CInt(byte), pieceByteCount)
        }
    }

    // MARK: - Integers

    /// The little-endian integer at `address`, which need not be aligned.
    @specialized(where T == UInt8)
    @specialized(where T == UInt64)
    @specialized(where T == UInt128)
    package func load<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type,
        at address: GuestAddress
    ) throws(GuestMemoryError) -> T {
        var value: T = 0
        try unsafe withUnsafeMutableBytes(of: &value) { buffer throws(GuestMemoryError) in
            try unsafe copyOut(to: buffer.baseAddress, byteCount: UInt64(buffer.count), at: address)
        }
        return T(littleEndian: value)
    }

    /// Stores `value` in little-endian order at `address`, which need not be aligned.
    ///
    /// - Throws: `outOfRange`; then nothing was stored.
    @specialized(where T == UInt8)
    @specialized(where T == UInt64)
    package func store<T: FixedWidthInteger & BitwiseCopyable>(
        _ value: T,
        at address: GuestAddress
    ) throws(GuestMemoryError) {
        let value = value.littleEndian
        try unsafe withUnsafeBytes(of: value) { buffer throws(GuestMemoryError) in
            try unsafe write(RawSpan(_unsafeBytes: buffer), at: address)
        }
    }

    // MARK: - Files

    /// Reads `byteCount` bytes of `file` from `offset` on, straight into the guest's memory at `address`.
    ///
    /// - Throws: `outOfRange` (then nothing was read), `endOfFile`, or `host` for an I/O error.
    package func read(
        from file: FileDescriptor,
        offset: UInt64,
        byteCount: UInt64,
        at address: GuestAddress
    ) throws(GuestMemoryError) {
        try unsafe forEachPiece(at: address, byteCount: byteCount) {
            host,
            piece,
            pieceByteCount throws(GuestMemoryError) in
            let done: Int
            do throws(Errno) {
                let buffer = unsafe UnsafeMutableRawBufferPointer(start: host, count: pieceByteCount)
                done = try unsafe file.read(filling: buffer, at: offset + UInt64(piece))
            } catch {
                throw .host(operation: "read", byteCount: UInt64(pieceByteCount), error)
            }
            guard done == pieceByteCount else { throw .endOfFile(missing: byteCount - UInt64(piece + done)) }
        }
    }

    // MARK: - Pieces

    /// Calls `body` for each part of the range that lies in one region, after all of it was found to be guest RAM.
    ///
    /// `body` gets the part's host pointer, its offset in the range and its size in bytes.
    private func forEachPiece(
        at address: GuestAddress,
        byteCount: UInt64,
        _ body: (_ host: UnsafeMutableRawPointer, _ offset: Int, _ byteCount: Int) throws(GuestMemoryError) -> Void
    ) throws(GuestMemoryError) {
        // Nearly every access lies in one region: no second pass for it.
        for extent in extents where byteCount > 0 && extent.contiguousByteCount(from: address) >= byteCount {
            return try unsafe body(extent.pointer(to: address), 0, Int(byteCount))
        }
        for isDryRun in [true, false] {
            var offset: UInt64 = 0
            while offset < byteCount {
                guard
                    let position = address.advanced(by: offset),
                    let extent = extent(containing: position)
                else { throw .outOfRange(address, byteCount: byteCount) }
                let count = min(byteCount - offset, extent.contiguousByteCount(from: position))
                if !isDryRun { try unsafe body(extent.pointer(to: position), Int(offset), Int(count)) }
                offset += count
            }
        }
    }

    private func copyOut(
        to destination: UnsafeMutableRawPointer?,
        byteCount: UInt64,
        at address: GuestAddress
    ) throws(GuestMemoryError) {
        guard let destination = unsafe destination else { return }
        try unsafe forEachPiece(at: address, byteCount: byteCount) { host, offset, pieceByteCount in
            unsafe (destination + offset).copyMemory(from: host, byteCount: pieceByteCount)
        }
    }

    func extent(containing address: GuestAddress) -> GuestMemoryExtent? {
        for extent in extents where extent.contiguousByteCount(from: address) > 0 { return extent }
        return nil
    }

    func region(containing address: GuestAddress) -> GuestMemoryRegion? {
        regions.first { $0.contiguousByteCount(from: address) > 0 }
    }
}
