// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory

/// The users of guest memory while the kernel starts.
///
/// A small ELF image may use what the boot structures leave below 1 MiB: with Linux's protocol 0x530 to 0x6fff and
/// 0xf000 to 0x1ffff, with PVH 0x530 to 0x5fff and 0x7000 to 0x1ffff, with both all below 0x500, from behind the command
/// line (0x30000 at the latest) to 0x9fbff, and the page at 0xff000, where linkers put the ELF header of an image that
/// is linked at 1 MiB.
struct MemoryPlan {
    private struct Claim {
        let range: Range<UInt64>
        let what: String
        /// The only protocol that needs it, or `nil` for both.
        var entryProtocol: EntryProtocol?
    }

    private static let pageByteCount: UInt64 = 4096

    let memory: GuestMemory
    private var claims: [Claim]

    init(memory: GuestMemory, commandLine: KernelCommandLine, setupDataByteCount: UInt64) {
        self.memory = memory
        func claim(
            _ start: GuestAddress,
            _ byteCount: UInt64,
            _ what: String,
            _ entryProtocol: EntryProtocol? = nil
        ) -> Claim {
            Claim(range: start.rawValue..<start.rawValue + byteCount, what: what, entryProtocol: entryProtocol)
        }
        let stack = GuestAddress(rawValue: X86Layout.zeroPage.rawValue + Self.pageByteCount)
        let stackByteCount = X86Layout.pageTables.rawValue - stack.rawValue
        let resetByteCount = X86Layout.highMemory.rawValue - X86Layout.resetVector.rawValue
        claims = [
            claim(X86Layout.gdt, EntrySegments.tableByteCount, "the GDT"),
            claim(X86Layout.pvhStartInfo, PVHStartInfo.capacity, "the PVH start information", .pvh),
            claim(X86Layout.zeroPage, Self.pageByteCount, "the boot parameters", .linux64),
            claim(stack, stackByteCount, "the boot stack", .linux64),
            claim(X86Layout.pageTables, PageTables.byteCount, "the boot page tables", .linux64),
            claim(X86Layout.setupData, setupDataByteCount, "the setup data", .linux64),
            claim(
                X86Layout.commandLine,
                // A longer one is refused before it is written.
                min(UInt64(commandLine.bytes.count), X86Layout.commandLineCapacity),
                "the command line"
            ),
            claim(X86Layout.mpTable, X86Layout.legacyHole.rawValue - X86Layout.mpTable.rawValue, "the MP table"),
            claim(
                X86Layout.legacyHole,
                X86Layout.acpiTables.rawValue - X86Layout.legacyHole.rawValue,
                "the legacy video and ROM hole"
            ),
            claim(X86Layout.acpiTables, X86Layout.acpiTablesCapacity, "the ACPI tables"),
            claim(X86Layout.resetVector, resetByteCount, "the reset vector"),
        ].filter { !$0.range.isEmpty }
    }

    /// Takes `range` for a part of the kernel.
    ///
    /// - Parameters:
    ///   - range: The physical addresses.
    ///   - what: What for, in a message.
    ///   - entryProtocol: The protocol by which the kernel will be entered, or `nil` while it may be either.
    ///   - kernelEnd: Where the whole kernel ends: so much memory it takes.
    /// - Throws: `doesNotFit` where it is not RAM that the boot page tables map, `collision` where it is taken.
    mutating func claim(
        _ range: Range<UInt64>,
        _ what: String,
        for entryProtocol: EntryProtocol?,
        kernelEnd: UInt64
    ) throws(KernelProblem) {
        let byteCount = range.upperBound - range.lowerBound
        guard
            range.upperBound <= PageTables.mappedEnd.rawValue,
            memory.contains(GuestAddress(rawValue: range.lowerBound), byteCount: byteCount)
        else {
            throw .doesNotFit(
                what: what,
                start: range.lowerBound,
                byteCount: byteCount,
                kernelEnd: kernelEnd,
                memory: memory.byteCount
            )
        }
        let isInUse = { (claim: Claim) in
            entryProtocol == nil || claim.entryProtocol == nil || claim.entryProtocol == entryProtocol
        }
        if let other = claims.first(where: { isInUse($0) && $0.range.overlaps(range) }) {
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

    /// Takes the places of all segments of an ELF image.
    mutating func claim(_ image: ELFImage, for entryProtocol: EntryProtocol?) throws(KernelProblem) {
        let end = image.physicalRange.upperBound
        for (index, segment) in image.segments.enumerated() {
            try claim(segment.physicalRange, "ELF segment \(index)", for: entryProtocol, kernelEnd: end)
        }
    }

    // MARK: - The initrd

    /// The highest page-aligned place for `byteCount` bytes of initrd, none of them above `last`.
    func placeForInitrd(byteCount: UInt64, last: UInt64) -> GuestAddress? {
        for gap in gaps(upTo: last).reversed() where gap.upperBound - gap.lowerBound >= byteCount {
            let start = (gap.upperBound - byteCount) / Self.pageByteCount * Self.pageByteCount
            if start >= gap.lowerBound { return GuestAddress(rawValue: start) }
        }
        return nil
    }

    /// The size of the largest place for an initrd.
    func largestInitrd(last: UInt64) -> UInt64 {
        Self.largest(of: gaps(upTo: last))
    }

    /// The size of the largest place that an initrd would have in a guest with all the memory that it can get.
    func largestInitrdInAnyGuest(last: UInt64) -> UInt64 {
        Self.largest(of: gaps(in: [0..<X86Layout.deviceHole.rawValue], upTo: last))
    }

    private static func largest(of gaps: [Range<UInt64>]) -> UInt64 {
        gaps.reduce(0) { max($0, $1.upperBound - $1.lowerBound) }
    }

    /// The free parts of RAM above the legacy hole, below the device hole and not above `last`, in ascending order,
    /// their starts on page boundaries.
    private func gaps(upTo last: UInt64) -> [Range<UInt64>] {
        gaps(in: MemoryMap.ranges(of: memory), upTo: last)
    }

    private func gaps(in ranges: [Range<UInt64>], upTo last: UInt64) -> [Range<UInt64>] {
        let end = min(X86Layout.deviceHole.rawValue, last + 1)
        var gaps: [Range<UInt64>] = []
        for range in ranges {
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
