// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Synchronization
import SystemPackage

/// One contiguous range of guest RAM, backed by one host mapping that lives as long as the region.
///
/// The guest writes to it at any time, from any vCPU, so the region hands out copies only and never a span or a
/// pointer: a span promises that nobody writes meanwhile.
@safe
package final class GuestMemoryRegion: Sendable {
    /// The first guest physical address.
    package let start: GuestAddress
    /// The size in bytes, a multiple of the host's page size.
    package let byteCount: UInt64

    // Immutable after init and valid until deinit; all access through it is bounds-checked here.
    private nonisolated(unsafe) let base: UnsafeMutableRawPointer
    private nonisolated(unsafe) let reservation: UnsafeMutableRawBufferPointer
    static let hugePageByteCount = 2 << 20
    private let backing = Mutex<Backing?>(nil)

    /// The file that the region began with.
    struct Backing {
        let file: MemoryFile
        /// The parts of the region that are mapped from it; zeros lie between them.
        let extents: [Range<UInt64>]
        /// Tells of a file that somebody cuts short: see `chost_guard_mapping`.
        fileprivate let guardian: CInt
    }

    /// Maps private memory: zeroed, lazily backed, and advised to be of huge pages.
    ///
    /// - Parameters:
    ///   - start: The first guest physical address; page aligned.
    ///   - byteCount: The size in bytes; at least one page, page aligned.
    /// - Throws: `badRegion` for an impossible range, `host` when the host has no room.
    package init(start: GuestAddress, byteCount: UInt64) throws(GuestMemoryError) {
        let pageSize = UInt64(sysconf(CInt(_SC_PAGESIZE)))
        guard
            byteCount > 0, byteCount <= UInt64(Int.max) / 2, byteCount % pageSize == 0,
            start.rawValue % pageSize == 0, start.advanced(by: byteCount - 1) != nil
        else { throw .badRegion(start, byteCount: byteCount) }
        // Without rights around it, so that no access beside it finds memory and no other mapping grows into it; aligned
        // for huge pages.
        let reservedByteCount = Int(byteCount) + 2 * Self.hugePageByteCount
        let reserved = unsafe mmap(
            nil,
            reservedByteCount,
            PROT_NONE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        )
        guard let reserved = unsafe reserved, unsafe reserved != MAP_FAILED else {
            throw .host(operation: "mmap", byteCount: byteCount, Errno(rawValue: errno))
        }
        let mapping = unsafe reserved.advanced(by: 1).alignedUp(toMultipleOf: Self.hugePageByteCount)
        guard unsafe mprotect(mapping, Int(byteCount), PROT_READ | PROT_WRITE) == 0 else {
            let error = Errno(rawValue: errno)
            unsafe munmap(reserved, reservedByteCount)
            throw .host(operation: "mprotect", byteCount: byteCount, error)
        }
        // Both are advice: a host without huge pages or core dump control runs the guest all the same.
        unsafe madvise(mapping, Int(byteCount), CInt(MADV_HUGEPAGE))
        unsafe madvise(mapping, Int(byteCount), CInt(MADV_DONTDUMP))
        self.start = start
        self.byteCount = byteCount
        unsafe base = mapping
        unsafe reservation = UnsafeMutableRawBufferPointer(start: reserved, count: reservedByteCount)
    }

    deinit {
        if let backing = file { chost_unguard_mapping(backing.guardian) }
        unsafe munmap(reservation.baseAddress, reservation.count)
    }

    /// Maps a file's contents into an untouched region.
    ///
    /// The file's data is mapped lazily: what nobody writes is shared with all who map the file, and the file never changes. Its
    /// holes stay as they are: a touched hole of a mapped file would fill the host's page cache with zeros.
    ///
    /// `offset` is page aligned. Throws `host` where the host has no room, `endOfFile` for a file that is too short.
    package func begin(with file: MemoryFile, at offset: UInt64 = 0) throws(GuestMemoryError) {
        let extents = try file.dataExtents(at: offset, byteCount: byteCount)
        for extent in extents { try unsafe file.map(extent, of: base, at: offset) }
        let guardian = unsafe chost_guard_mapping(base, Int(byteCount), file.messageOfTruncation)
        unsafe madvise(base, Int(byteCount), CInt(MADV_DONTDUMP))
        backing.withLock { $0 = Backing(file: file, extents: extents, guardian: guardian) }
    }

    /// The file that the region began with; `nil` for zeros.
    var file: Backing? { backing.withLock { $0 } }

    /// The last guest physical address of the region.
    package var last: GuestAddress {
        GuestAddress(rawValue: start.rawValue + (byteCount - 1))
    }

    /// The host address of the region's first byte, to be given to the kernel (`KVM_SET_USER_MEMORY_REGION`) and
    /// never to be read or written through.
    package var hostAddress: UInt64 {
        unsafe UInt64(UInt(bitPattern: base))
    }

    /// The place of the region, for as long as it lives.
    var extent: GuestMemoryExtent {
        unsafe GuestMemoryExtent(start: start, byteCount: byteCount, base: base)
    }

    /// The number of bytes from `address` on that lie in this region; 0 when `address` does not.
    package func contiguousByteCount(from address: GuestAddress) -> UInt64 {
        extent.contiguousByteCount(from: address)
    }

    /// The pointer to `byteCount` bytes at `address`, all of which lie in this region.
    package func withUnsafeHostPointer<R, E: Error>(
        at address: GuestAddress,
        byteCount: UInt64,
        _ body: (UnsafeMutableRawPointer) throws(E) -> R
    ) throws(E) -> R? {
        guard contiguousByteCount(from: address) >= byteCount else { return nil }
        return try unsafe body(extent.pointer(to: address))
    }
}
