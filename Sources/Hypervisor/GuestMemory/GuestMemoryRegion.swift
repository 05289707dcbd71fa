// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
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
    private static let hugePageByteCount = 2 << 20
    /// The file that the region began with, and the parts of the region that are mapped from it; zeros lie between them.
    let file: MemoryFile?
    let fileExtents: [Range<UInt64>]
    /// Tells of a file that somebody cuts short: see `chost_guard_mapping`.
    private let guardian: CInt

    /// Maps private memory.
    ///
    /// Without a file it is zeroed, lazily backed, and advised to be of huge pages. With one, the file's data is mapped lazily:
    /// what nobody writes is shared with all who map the file, and the file never changes. Its holes are as memory without a
    /// file: a touched hole of a mapped file would fill the host's page cache with zeros.
    ///
    /// - Parameters:
    ///   - start: The first guest physical address; page aligned.
    ///   - byteCount: The size in bytes; at least one page, page aligned.
    ///   - file: What the memory holds at first.
    ///   - offset: Where in the file the region lies; page aligned.
    /// - Throws: `badRegion` for an impossible range, `host` when the host has no room, `endOfFile` for a file that is too short.
    package init(
        start: GuestAddress,
        byteCount: UInt64,
        file: MemoryFile? = nil,
        offset: UInt64 = 0
    ) throws(GuestMemoryError) {
        let pageSize = UInt64(sysconf(CInt(_SC_PAGESIZE)))
        guard
            byteCount > 0, byteCount <= UInt64(Int.max) / 2, byteCount % pageSize == 0,
            start.rawValue % pageSize == 0, start.advanced(by: byteCount - 1) != nil
        else { throw .badRegion(start, byteCount: byteCount) }
        let fileExtents = try file?.dataExtents(at: offset, byteCount: byteCount) ?? []
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
        do throws(GuestMemoryError) {
            for extent in fileExtents { try unsafe file?.map(extent, of: mapping, at: offset) }
        } catch {
            unsafe munmap(reserved, reservedByteCount)
            throw error
        }
        guardian = file.map { unsafe chost_guard_mapping(mapping, Int(byteCount), $0.messageOfTruncation) } ?? -1
        unsafe madvise(mapping, Int(byteCount), CInt(MADV_DONTDUMP))
        self.start = start
        self.byteCount = byteCount
        (self.file, self.fileExtents) = (file, fileExtents)
        unsafe base = mapping
        unsafe reservation = UnsafeMutableRawBufferPointer(start: reserved, count: reservedByteCount)
    }

    deinit {
        chost_unguard_mapping(guardian)
        unsafe munmap(reservation.baseAddress, reservation.count)
    }

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
