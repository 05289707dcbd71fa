// SPDX-License-Identifier: Apache-2.0

/// The memory of the host that this process takes, guest memory apart.
///
/// As Firecracker counts: all mappings that are not guest memory, program text and shared pages included.
struct ResidentMemory {
    /// In bytes, as the next.
    private(set) var overheadByteCount: UInt64 = 0
    private(set) var guestByteCount: UInt64 = 0

    /// `nil` where the host does not tell.
    ///
    /// - Parameter guestRanges: Where guest memory is mapped in this process.
    init?(guestRanges: [Range<UInt64>]) {
        guard let mappings = MemoryMapping.all() else { return nil }
        for mapping in mappings {
            if guestRanges.contains(where: { $0.contains(mapping.range.lowerBound) }) {
                guestByteCount += mapping.residentByteCount
            } else {
                overheadByteCount += mapping.residentByteCount
            }
        }
    }
}
