// SPDX-License-Identifier: Apache-2.0

import MachineModel
import GuestMemory

/// The entry point and mode of an ELF image; <doc:EntryPoints> has the rules in prose.
struct ELFEntry: Hashable {
    let entryProtocol: EntryProtocol
    let address: UInt64

    static let noImageEntry = KernelProblem.entryNotOffered(
        .image,
        "only a bzImage has code of its own that unpacks it; this is an ELF image"
    )

    /// Chooses the entry point.
    ///
    /// `start` is the first bytes of the image, where a multiboot header may lie.
    init(_ image: ELFImage, pvhEntry: UInt64?, start: ByteReader, choice: EntryChoice) throws(KernelProblem) {
        switch choice {
        case .automatic:
            if let pvhEntry, Self.prefersPVH(image) {
                try self.init(image, pvh: pvhEntry)
            } else if !image.hasLinuxEntry, MultibootHeader.isPresent(in: start) {
                // Also a 64-bit image: it brings its own code that enters long mode.
                throw MultibootHeader.problem
            } else {
                try self.init(linux64: image)
            }
        case .elf:
            try self.init(linux64: image)
        case .pvh:
            guard let pvhEntry else {
                throw .entryNotOffered(
                    .pvh,
                    "the image has no PVH note (XEN_ELFNOTE_PHYS32_ENTRY); Linux has one with CONFIG_PVH=y"
                )
            }
            try self.init(image, pvh: pvhEntry)
        case .image:
            throw Self.noImageEntry
        }
    }

    /// Linux built with `CONFIG_PVH` offers both and is entered in 64-bit mode; any other kernel with the note wants PVH.
    private static func prefersPVH(_ image: ELFImage) -> Bool {
        !image.header.is64Bit || !image.hasLinuxEntry
    }

    private init(linux64 image: ELFImage) throws(KernelProblem) {
        guard image.header.is64Bit else {
            throw .wrongArchitecture("a 32-bit x86 ELF image without a PVH note")
        }
        guard let address = image.entryPoint else {
            throw .malformed("its entry point 0x\(String(image.header.entry, radix: 16)) lies in no segment")
        }
        entryProtocol = .linux64
        self.address = address
    }

    private init(_ image: ELFImage, pvh address: UInt64) throws(KernelProblem) {
        guard image.segments.contains(where: { $0.containsPhysical(address) }) else {
            throw .malformed("its PVH entry point 0x\(String(address, radix: 16)) lies in no segment")
        }
        entryProtocol = .pvh
        self.address = address
    }

    /// The image as it lies in guest memory.
    func placed(_ image: ELFImage) -> PlacedKernel {
        let range = image.physicalRange
        return PlacedKernel(
            entryProtocol: entryProtocol,
            entryPoint: GuestAddress(rawValue: address),
            range: GuestAddress(rawValue: range.lowerBound)..<GuestAddress(rawValue: range.upperBound)
        )
    }
}
