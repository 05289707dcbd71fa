// SPDX-License-Identifier: Apache-2.0

/// The parts of an ELF executable that loading it needs.
struct ELFImage: Hashable, Sendable {
    /// A `PT_LOAD` segment.
    struct Segment: Hashable, Sendable {
        let fileOffset: UInt64
        let fileByteCount: UInt64
        let virtualAddress: UInt64
        let physicalAddress: UInt64
        let memoryByteCount: UInt64

        var fileRange: Range<UInt64> { fileOffset..<fileOffset + fileByteCount }
        /// The physical addresses, bss included.
        var physicalRange: Range<UInt64> { physicalAddress..<physicalAddress + memoryByteCount }

        func containsPhysical(_ address: UInt64) -> Bool { physicalRange.contains(address) }

        func containsVirtual(_ address: UInt64) -> Bool {
            address >= virtualAddress && address - virtualAddress < memoryByteCount
        }
    }

    /// A `PT_NOTE` segment.
    struct NoteSegment: Hashable, Sendable {
        let fileRange: Range<UInt64>
        let alignment: UInt64
    }

    /// Notes larger than this are not read: a PVH note has 20 bytes.
    static let noteByteCountLimit: UInt64 = 1 << 16

    let header: ELFHeader
    /// In the order of the file's table, those without memory left out.
    let segments: [Segment]
    let notes: [NoteSegment]

    /// Reads the program headers.
    ///
    /// `byteCount` is the size of the file, or the most that it can unpack to.
    init(_ header: ELFHeader, table: ByteReader, byteCount: UInt64) throws(KernelProblem) {
        var segments: [Segment] = []
        var notes: [NoteSegment] = []
        for index in 0..<UInt64(header.entryCount) {
            let entry: ProgramHeader
            do {
                entry = try ProgramHeader(table, at: index * header.entryByteCount, is64Bit: header.is64Bit)
            } catch {
                throw .truncated(
                    what: "the ELF program header table",
                    needed: header.table.upperBound,
                    available: byteCount
                )
            }
            switch entry.type {
            case ProgramHeader.load where entry.memoryByteCount > 0:
                segments.append(try Self.segment(entry, index: index, byteCount: byteCount))
            case ProgramHeader.interpreter:
                throw .notAKernel("it is a program for a running Linux system, not a kernel")
            case ProgramHeader.note where entry.fileByteCount <= Self.noteByteCountLimit:
                let (end, overflow) = entry.offset.addingReportingOverflow(entry.fileByteCount)
                guard !overflow, end <= byteCount else { continue }
                notes.append(NoteSegment(fileRange: entry.offset..<end, alignment: entry.alignment))
            default:
                continue
            }
        }
        guard !segments.isEmpty else { throw .malformed("the ELF image has nothing to load") }
        self.header = header
        self.segments = segments
        self.notes = notes
    }

    private static func segment(
        _ entry: ProgramHeader,
        index: UInt64,
        byteCount: UInt64
    ) throws(KernelProblem) -> Segment {
        guard entry.fileByteCount <= entry.memoryByteCount else {
            throw .malformed("ELF segment \(index) has more bytes in the file than in memory")
        }
        let (fileEnd, fileOverflow) = entry.offset.addingReportingOverflow(entry.fileByteCount)
        guard !fileOverflow, fileEnd <= byteCount else {
            throw .truncated(
                what: "ELF segment \(index)",
                needed: fileOverflow ? .max : fileEnd,
                available: byteCount
            )
        }
        guard !entry.physicalAddress.addingReportingOverflow(entry.memoryByteCount).overflow else {
            throw .malformed("ELF segment \(index) leaves the address space")
        }
        return Segment(
            fileOffset: entry.offset,
            fileByteCount: entry.fileByteCount,
            virtualAddress: entry.virtualAddress,
            physicalAddress: entry.physicalAddress,
            memoryByteCount: entry.memoryByteCount
        )
    }

    /// From the first to the last physical address of any segment.
    var physicalRange: Range<UInt64> {
        let start = segments.reduce(.max) { min($0, $1.physicalRange.lowerBound) }
        return start..<segments.reduce(start) { max($0, $1.physicalRange.upperBound) }
    }

    // MARK: - Entry points

    /// The physical address of the entry point, or `nil` when it lies in no segment.
    ///
    /// Linux's `vmlinux` gives a physical address although it is linked at a virtual one; others give the virtual one.
    var entryPoint: UInt64? {
        if segments.contains(where: { $0.containsPhysical(header.entry) }) { return header.entry }
        guard let segment = segments.first(where: { $0.containsVirtual(header.entry) }) else { return nil }
        return segment.physicalAddress + (header.entry - segment.virtualAddress)
    }

    /// Indicates whether the entry point is given as Linux gives it: as the physical address of code linked at another one.
    var hasLinuxEntry: Bool {
        segments.contains { $0.containsPhysical(header.entry) && $0.virtualAddress != $0.physicalAddress }
    }
}

/// One entry of an ELF program header table, of either class.
private struct ProgramHeader {
    static let load: UInt32 = 1
    static let interpreter: UInt32 = 3
    static let note: UInt32 = 4

    let type: UInt32
    let offset: UInt64
    let virtualAddress: UInt64
    let physicalAddress: UInt64
    let fileByteCount: UInt64
    let memoryByteCount: UInt64
    let alignment: UInt64

    init(_ table: ByteReader, at start: UInt64, is64Bit: Bool) throws(ByteReader.OutOfBytes) {
        type = try table.load(at: start)
        if is64Bit {
            offset = try table.load(at: start + 8)
            virtualAddress = try table.load(at: start + 16)
            physicalAddress = try table.load(at: start + 24)
            fileByteCount = try table.load(at: start + 32)
            memoryByteCount = try table.load(at: start + 40)
            alignment = try table.load(at: start + 48)
        } else {
            offset = UInt64(try table.load(UInt32.self, at: start + 4))
            virtualAddress = UInt64(try table.load(UInt32.self, at: start + 8))
            physicalAddress = UInt64(try table.load(UInt32.self, at: start + 12))
            fileByteCount = UInt64(try table.load(UInt32.self, at: start + 16))
            memoryByteCount = UInt64(try table.load(UInt32.self, at: start + 20))
            alignment = UInt64(try table.load(UInt32.self, at: start + 28))
        }
    }
}
