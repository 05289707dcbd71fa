// SPDX-License-Identifier: Apache-2.0

import MachineModel
import Platform
import GuestMemory

/// A kernel in guest memory.
struct PlacedKernel: Hashable {
    let entryProtocol: EntryProtocol
    let entryPoint: GuestAddress
    let range: Range<GuestAddress>
    /// The setup header of the bzImage that it came from.
    var header: SetupHeader?
    /// The place of the image's protected-mode part, when it is entered through its own code.
    var imageAddress: GuestAddress?
    var note: String?
}

/// Puts a kernel to its place: from the file, from a decompressor, or as the image is.
struct KernelProgram {
    /// The limit of an unpacked kernel without another limit; a larger one is a decompression bomb or a kernel with
    /// all its debug information, which can be unpacked by hand.
    private static let unpackedByteCountLimit: UInt64 = 1 << 30

    /// The 64-bit entry point of a bzImage's protected-mode part (Documentation/x86/boot.rst).
    private static let entryOffset: UInt64 = 0x200

    let memory: GuestMemory
    private(set) var plan: MemoryPlan

    init(memory: GuestMemory, plan: MemoryPlan) {
        self.memory = memory
        self.plan = plan
    }

    /// Loads the kernel for the entry that was chosen.
    mutating func load(_ kernel: KernelImage, entry choice: EntryChoice) throws(BootError) -> PlacedKernel {
        switch kernel.contents {
        case .elf(let image): return try loadELF(image, kernel, choice)
        case .compressed(let compression):
            guard choice != .image else { throw .kernel(path: kernel.path, ELFEntry.noImageEntry) }
            let source = 0..<kernel.file.byteCount
            let limit = max(memory.byteCount, Self.unpackedByteCountLimit)
            return try unpack(kernel, compression, source: source, limit: limit, choice) { start in
                Self.foreignProblem(start, compression)
            }
        case .bzImage(let header):
            return try loadBzImage(header, kernel, choice)
        }
    }

    // MARK: - ELF

    /// Reads the segments straight from the file into guest memory.
    private mutating func loadELF(
        _ image: ELFImage,
        _ kernel: KernelImage,
        _ choice: EntryChoice
    ) throws(BootError) -> PlacedKernel {
        let pvhEntry = try pvhEntry(of: image, kernel)
        let start = ByteReader(try kernel.file.read(upTo: MultibootHeader.reach, at: 0))
        let placed = try KernelImage.kernelProblems(kernel.path) { () throws(KernelProblem) in
            let entry = try ELFEntry(image, pvhEntry: pvhEntry, start: start, choice: choice)
            try plan.claim(image, for: entry.entryProtocol)
            return entry.placed(image)
        }
        for segment in image.segments where segment.fileByteCount > 0 {
            try kernel.file.load(
                offset: segment.fileOffset,
                byteCount: segment.fileByteCount,
                into: memory,
                at: GuestAddress(rawValue: segment.physicalAddress)
            )
        }
        replaceSparseHugePages(of: image)
        return placed
    }

    /// Call it after all segments are loaded: two of them may share a huge page.
    private func replaceSparseHugePages(of image: ELFImage) {
        for segment in image.segments {
            memory.replaceSparseHugePages(in: segment.physicalAddress..<segment.physicalAddress + segment.fileByteCount)
        }
    }

    private func pvhEntry(of image: ELFImage, _ kernel: KernelImage) throws(BootError) -> UInt64? {
        for note in image.notes {
            let bytes = try kernel.file.read(upTo: note.fileRange.count, at: note.fileRange.lowerBound)
            if let entry = ELFNotes.pvhEntry(in: bytes, alignment: note.alignment) { return entry }
        }
        return nil
    }

    // MARK: - Compressed ELF

    /// Unpacks an ELF image into its place.
    private mutating func unpack(
        _ kernel: KernelImage,
        _ compression: Compression,
        source: Range<UInt64>,
        limit: UInt64,
        _ choice: EntryChoice,
        foreign: @escaping (ByteReader) -> KernelProblem
    ) throws(BootError) -> PlacedKernel {
        var stream = ELFStream(memory: memory, path: kernel.path, limit: limit, foreign: foreign)
        let saved = plan
        do {
            let unpacker = Unpacker(compression, source: source, limit: limit)
            try unpacker.unpack(kernel.file) { piece throws(BootError) in
                try stream.receive(piece) { image throws(BootError) in
                    try KernelImage.kernelProblems(kernel.path) { () throws(KernelProblem) in
                        // Its notes have not come yet, so both protocols' structures are in use.
                        try plan.claim(image, for: nil)
                    }
                }
            }
            let (image, pvhEntry, start) = try stream.finish()
            replaceSparseHugePages(of: image)
            return try KernelImage.kernelProblems(kernel.path) { () throws(KernelProblem) in
                try ELFEntry(image, pvhEntry: pvhEntry, start: start, choice: choice).placed(image)
            }
        } catch {
            // The image's own code may be used instead, and then finds memory as if nothing had been tried.
            plan = saved
            try stream.erase()
            throw error
        }
    }

    /// The content of a compressed file that is no ELF image.
    private static func foreignProblem(_ start: ByteReader, _ compression: Compression) -> KernelProblem {
        if SetupHeader.isPresent(in: start) {
            return .notAKernel("it is a \(compression.adjective) bzImage; unpack it first")
        }
        switch ForeignFormat.problem(with: start) {
        case .notAKernel(let what): return .notAKernel("it is \(compression.adjective); unpacked, \(what)")
        case let other: return other
        }
    }

    // MARK: - bzImage

    private mutating func loadBzImage(
        _ header: SetupHeader,
        _ kernel: KernelImage,
        _ choice: EntryChoice
    ) throws(BootError) -> PlacedKernel {
        guard choice != .image else { return try loadImage(header, kernel, note: nil) }
        do {
            var placed = try unpackPayload(header, kernel, choice)
            placed.header = header
            return placed
        } catch .kernel(_, .unusablePayload(let reason)) where choice == .automatic && header.has64BitEntry {
            return try loadImage(
                header,
                kernel,
                note: "kernel \(kernel.path): \(reason); its own code unpacks it, which takes longer"
            )
        }
    }

    private mutating func unpackPayload(
        _ header: SetupHeader,
        _ kernel: KernelImage,
        _ choice: EntryChoice
    ) throws(BootError) -> PlacedKernel {
        guard let payload = header.payload else {
            throw .kernel(
                path: kernel.path,
                .unusablePayload("its header does not say where the compressed kernel lies")
            )
        }
        let start = ByteReader(try kernel.file.read(upTo: Compression.magicByteCount, at: payload.lowerBound))
        guard let compression = Compression(magicOf: start) else {
            throw .kernel(path: kernel.path, .unusablePayload("the format of its compressed kernel is unknown"))
        }
        // The unpacked kernel must fit into the memory that the header asks for.
        let ceiling = max(memory.byteCount, Self.unpackedByteCountLimit)
        let limit = header.initSize > 0 ? min(header.initSize, ceiling) : ceiling
        return try unpack(kernel, compression, source: payload, limit: limit, choice) { _ in
            .unusablePayload("its payload is not an ELF image")
        }
    }

    /// Loads the protected-mode part, to be entered at its 64-bit entry point.
    private mutating func loadImage(
        _ header: SetupHeader,
        _ kernel: KernelImage,
        note: String?
    ) throws(BootError) -> PlacedKernel {
        let placed = try KernelImage.kernelProblems(kernel.path) { () throws(KernelProblem) in
            try placeImage(header, note: note)
        }
        try kernel.file.load(
            offset: header.protectedModeOffset,
            byteCount: header.protectedModeByteCount,
            into: memory,
            at: placed.range.lowerBound
        )
        return placed
    }

    private mutating func placeImage(_ header: SetupHeader, note: String?) throws(KernelProblem) -> PlacedKernel {
        guard header.has64BitEntry else {
            throw .entryNotOffered(.image, "the image does not announce a 64-bit entry point (boot protocol 2.12)")
        }
        guard header.protectedModeByteCount > Self.entryOffset else {
            throw .malformed("its 64-bit entry point lies beyond its end")
        }
        // Below its preferred address the kernel would only move itself up to it.
        let alignment = max(header.kernelAlignment, 1)
        let preferred = max(header.preferredAddress, X86Layout.highMemory.rawValue)
        guard preferred < PageTables.mappedEnd.rawValue else {
            throw .malformed("its preferred address \(GuestAddress(rawValue: preferred)) is above 4 GiB")
        }
        let start = (preferred + alignment - 1) / alignment * alignment
        let range = start..<start + max(header.initSize, header.protectedModeByteCount)
        try plan.claim(range, "the bzImage", for: .linux64, kernelEnd: range.upperBound)
        return PlacedKernel(
            entryProtocol: .linux64,
            entryPoint: GuestAddress(rawValue: start + Self.entryOffset),
            range: GuestAddress(rawValue: start)..<GuestAddress(rawValue: range.upperBound),
            header: header,
            imageAddress: GuestAddress(rawValue: start),
            note: note
        )
    }
}
