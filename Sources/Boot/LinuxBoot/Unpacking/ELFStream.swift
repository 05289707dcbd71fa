// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// An ELF image that arrives piece by piece, each of which is copied to its place in guest memory at once.
///
/// The image is never in host memory as a whole: a decompressor's output goes from a buffer that fits into the cache
/// straight to the guest.
struct ELFStream: ~Copyable {
    /// Checks the headers before anything is copied.
    typealias Check = (ELFImage) throws(BootError) -> Void

    /// The program headers must lie in the first bytes; every linker puts them right after the ELF header.
    private static let headerLimit: UInt64 = 1 << 20

    private let memory: GuestMemory
    private let path: String
    /// The most bytes that may come.
    private let limit: UInt64
    /// The message about a stream that begins with these bytes and is no ELF image.
    private let foreign: (ByteReader) -> KernelProblem

    /// Everything so far, until the headers are complete; then as much as a multiboot header needs.
    private var start: [UInt8] = []
    private var image: ELFImage?
    private var position: UInt64 = 0
    private var noteBytes: [[UInt8]] = []

    init(
        memory: GuestMemory,
        path: String,
        limit: UInt64,
        foreign: @escaping (ByteReader) -> KernelProblem
    ) {
        self.memory = memory
        self.path = path
        self.limit = limit
        self.foreign = foreign
    }

    /// Takes the next bytes.
    mutating func receive(_ piece: RawSpan, check: Check) throws(BootError) {
        if image != nil { return try copy(piece) }
        unsafe piece.withUnsafeBytes { unsafe start.append(contentsOf: $0) }
        guard let image = try parse() else { return }
        try check(image)
        self.image = image
        noteBytes = image.notes.map { [UInt8](repeating: 0, count: $0.fileRange.count) }
        let first = start
        start = Array(first.prefix(MultibootHeader.reach))
        try unsafe copy(first.span.bytes)
    }

    /// The image, its PVH entry and its first bytes, once everything was received.
    ///
    /// - Throws: `truncated` when bytes that the headers announce have not come.
    borrowing func finish() throws(BootError) -> (image: ELFImage, pvhEntry: UInt64?, start: ByteReader) {
        guard let image else {
            guard start.isEmpty || ByteReader(start).has(ELFHeader.magic) else {
                throw .kernel(path: path, foreign(ByteReader(start)))
            }
            throw .kernel(
                path: path,
                .truncated(what: "the ELF header", needed: ELFHeader.byteCount, available: UInt64(start.count))
            )
        }
        let needed = image.segments.reduce(0) { max($0, $1.fileRange.upperBound) }
        guard position >= needed else {
            throw .kernel(
                path: path,
                .truncated(what: "the unpacked ELF image", needed: needed, available: position)
            )
        }
        for (note, bytes) in zip(image.notes, noteBytes) {
            if let entry = ELFNotes.pvhEntry(in: bytes, alignment: note.alignment) {
                return (image, entry, ByteReader(start))
            }
        }
        return (image, nil, ByteReader(start))
    }

    /// Zeroes the copied bytes, for a loader that takes another path.
    borrowing func erase() throws(BootError) {
        for segment in image?.segments ?? [] {
            do {
                try memory.fill(
                    0,
                    byteCount: segment.fileByteCount,
                    at: GuestAddress(rawValue: segment.physicalAddress)
                )
            } catch {
                throw .memory(error)
            }
        }
    }

    private borrowing func parse() throws(BootError) -> ELFImage? {
        guard start.count >= ELFHeader.byteCount else { return nil }
        let bytes = ByteReader(start)
        guard bytes.has(ELFHeader.magic) else { throw .kernel(path: path, foreign(bytes)) }
        return try KernelImage.kernelProblems(path) { () throws(KernelProblem) in
            let header = try ELFHeader(bytes, available: UInt64(start.count))
            guard header.table.upperBound <= Self.headerLimit else {
                throw KernelProblem.malformed("its ELF program headers lie too far from its start")
            }
            guard header.table.upperBound <= start.count else { return nil }
            let table = Array(start[Int(header.table.lowerBound)..<Int(header.table.upperBound)])
            return try ELFImage(header, table: ByteReader(table), byteCount: limit)
        }
    }

    /// Copies each part of `piece` that a segment or a note needs.
    private mutating func copy(_ piece: RawSpan) throws(BootError) {
        guard let image else { return }
        let range = position..<position + UInt64(piece.byteCount)
        for segment in image.segments {
            let part = range.clamped(to: segment.fileRange)
            guard !part.isEmpty else { continue }
            do {
                try memory.write(
                    piece.extracting(Int(part.lowerBound - position)..<Int(part.upperBound - position)),
                    at: GuestAddress(rawValue: segment.physicalAddress + (part.lowerBound - segment.fileOffset))
                )
            } catch {
                throw .memory(error)
            }
        }
        for (index, note) in image.notes.enumerated() {
            let part = range.clamped(to: note.fileRange)
            for offset in part {
                noteBytes[index][Int(offset - note.fileRange.lowerBound)] = unsafe piece.unsafeLoad(
                    fromUncheckedByteOffset: Int(offset - position),
                    as: UInt8.self
                )
            }
        }
        position = range.upperBound
    }
}
