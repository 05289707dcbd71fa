// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// Who uses which part of guest memory while the kernel starts.
///
/// The boot structures have their places whichever way the kernel is entered, so which low addresses a small ELF image
/// may use does not depend on anything but this list: all below 0x500, 0x1000 to 0x5fff, 0xf000 to 0xffff, and from
/// behind the command line (0x30000 at the latest) to 0x9fbff.
struct MemoryPlan {
    private struct Claim {
        let range: Range<UInt64>
        let what: String
    }

    private static let pageByteCount: UInt64 = 4096

    let memory: GuestMemory
    private var claims: [Claim]

    /// - Parameters:
    ///   - memory: The guest's RAM.
    ///   - commandLine: The command line.
    ///   - setupDataByteCount: The size of the `setup_data` list.
    init(memory: GuestMemory, commandLine: KernelCommandLine, setupDataByteCount: UInt64) {
        self.memory = memory
        func claim(_ start: GuestAddress, _ byteCount: UInt64, _ what: String) -> Claim {
            Claim(range: start.rawValue..<start.rawValue + byteCount, what: what)
        }
        let stackStart = X86Layout.zeroPage.rawValue + Self.pageByteCount
        claims = [
            claim(X86Layout.gdt, EntrySegments.tableByteCount, "the GDT"),
            claim(X86Layout.pvhStartInfo, PVHStartInfo.capacity, "the PVH start information"),
            claim(X86Layout.zeroPage, Self.pageByteCount, "the boot parameters"),
            Claim(range: stackStart..<X86Layout.pageTables.rawValue, what: "the boot stack"),
            claim(X86Layout.pageTables, PageTables.byteCount, "the boot page tables"),
            claim(X86Layout.setupData, setupDataByteCount, "the setup data"),
            claim(X86Layout.commandLine, UInt64(commandLine.bytes.count), "the command line"),
            Claim(
                range: X86Layout.mpTable.rawValue..<X86Layout.highMemory.rawValue,
                what: "the firmware tables and the legacy hole"
            ),
        ]
    }

    /// Takes `range` for a part of the kernel.
    ///
    /// - Throws: `doesNotFit` where it is not RAM that the boot page tables map, `collision` where it is taken.
    mutating func claim(_ range: Range<UInt64>, _ what: String) throws(KernelProblem) {
        let byteCount = range.upperBound - range.lowerBound
        guard
            range.upperBound <= PageTables.mappedEnd.rawValue,
            memory.contains(GuestAddress(rawValue: range.lowerBound), byteCount: byteCount)
        else {
            throw .doesNotFit(what: what, start: range.lowerBound, byteCount: byteCount, memory: memory.byteCount)
        }
        if let other = claims.first(where: { $0.range.overlaps(range) }) {
            throw .collision(
                what: what,
                start: range.lowerBound,
                byteCount: byteCount,
                with: other.what,
                GuestAddress(rawValue: other.range.lowerBound)
            )
        }
        claims.append(Claim(range: range, what: what))
    }

    // MARK: - The initrd

    /// The highest page-aligned place for `byteCount` bytes of initrd.
    ///
    /// - Parameter last: The highest address that it may use.
    func placeForInitrd(byteCount: UInt64, last: UInt64) -> GuestAddress? {
        for gap in gaps(upTo: last).reversed() where gap.upperBound - gap.lowerBound >= byteCount {
            let start = (gap.upperBound - byteCount) / Self.pageByteCount * Self.pageByteCount
            if start >= gap.lowerBound { return GuestAddress(rawValue: start) }
        }
        return nil
    }

    /// The size of the largest place for an initrd.
    func largestInitrd(last: UInt64) -> UInt64 {
        gaps(upTo: last).reduce(0) { max($0, $1.upperBound - $1.lowerBound) }
    }

    /// The free parts of RAM above the legacy hole, below the device hole and not above `last`, in ascending order,
    /// their starts on page boundaries.
    private func gaps(upTo last: UInt64) -> [Range<UInt64>] {
        let end = min(X86Layout.deviceHole.rawValue, last + 1)
        var gaps: [Range<UInt64>] = []
        for range in MemoryMap.ranges(of: memory) {
            let upper = min(range.upperBound, end)
            var position = max(range.lowerBound, X86Layout.highMemory.rawValue)
            for claim in claims.sorted(by: { $0.range.lowerBound < $1.range.lowerBound })
            where claim.range.upperBound > position && claim.range.lowerBound < upper {
                if claim.range.lowerBound > position { gaps.append(position..<claim.range.lowerBound) }
                position = (claim.range.upperBound + Self.pageByteCount - 1) / Self.pageByteCount * Self.pageByteCount
            }
            if position < upper { gaps.append(position..<upper) }
        }
        return gaps
    }
}
