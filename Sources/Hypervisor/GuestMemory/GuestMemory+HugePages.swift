// SPDX-License-Identifier: Apache-2.0

import Glibc

extension GuestMemory {
    /// The largest number of used small pages for which a huge page is not worth its memory.
    private static let sparsePageMaximum = 32

    /// Replaces huge pages that hold next to nothing by small ones.
    ///
    /// Linux aligns its entry code, one page, to huge pages at both ends, and a few bytes of text follow: they take 4 MiB of huge
    /// pages. Call it before the guest runs, and while nobody else uses the memory.
    ///
    /// - Parameter range: Guest physical addresses that were just written.
    package func replaceSparseHugePages(in range: Range<UInt64>) {
        let step = UInt64(GuestMemoryRegion.hugePageByteCount)
        for start in stride(from: range.lowerBound / step * step, to: range.upperBound, by: Int(step)) {
            let address = GuestAddress(rawValue: start)
            guard let extent = extents.first(where: { $0.contiguousByteCount(from: address) >= step }) else { continue }
            // SAFETY: the huge page lies in the extent, whose region this object keeps.
            unsafe Self.replaceIfSparse(extent.pointer(to: address))
        }
    }

    @unsafe
    private static func replaceIfSparse(_ base: UnsafeMutableRawPointer) {
        let (byteCount, pageByteCount) = (GuestMemoryRegion.hugePageByteCount, MemoryChecksum.pageByteCount)
        guard UInt(bitPattern: base) % UInt(byteCount) == 0 else { return }
        var used: [(offset: Int, bytes: [UInt8])] = []
        for offset in stride(from: 0, to: byteCount, by: pageByteCount)
        where unsafe !MemoryChecksum.isZero(base + offset) {
            guard used.count < sparsePageMaximum else { return }
            let page = unsafe UnsafeRawBufferPointer(start: base + offset, count: pageByteCount)
            used.append((offset, unsafe [UInt8](page)))
        }
        // A host that refuses the advice has no huge pages, so no memory is wasted.
        guard unsafe madvise(base, byteCount, CInt(MADV_NOHUGEPAGE)) == 0,
            unsafe madvise(base, byteCount, CInt(MADV_DONTNEED)) == 0
        else { return }
        for page in used { unsafe memcpy(base + page.offset, page.bytes, pageByteCount) }
        // The small pages stay, and the memory is one mapping again, by whose size Firecracker's tools know it.
        unsafe madvise(base, byteCount, CInt(MADV_HUGEPAGE))
    }
}
