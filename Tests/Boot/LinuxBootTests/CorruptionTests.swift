// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import LinuxBoot
import MachineModel
import Testing

/// Images with random damage: each either loads within its bounds or is refused, and none crashes or hangs.
@Suite(.timeLimit(.minutes(10))) struct CorruptionTests {
    private static let imageCount = 250
    private static let memoryByteCount = mebibytes(32)

    @Test(arguments: Compressor.payloadFormats, [false, true])
    func `a damaged bzImage`(compression: Compression, isInHeaders: Bool) throws {
        let payload = try Compressor.payload(ELFBuilder.linux(textByteCount: 60_000).build(), compression)
        let builder = BzImageBuilder(payload: payload)
        // The setup header and the start of the payload, or anywhere.
        let image = builder.build()
        let region = isInHeaders ? 0x1f0..<0x270 : builder.payloadOffset..<image.count
        try check(image, damaging: region, seed: UInt64(Compressor.payloadFormats.firstIndex(of: compression) ?? 0))
    }

    @Test(arguments: [EntryChoice.automatic, .pvh])
    func `a damaged ELF image`(entry: EntryChoice) throws {
        let image = ELFBuilder.linux(textByteCount: 10_000, pvhEntry: ELFBuilder.linuxText).build()
        try check(image, damaging: 0..<300, seed: 100, entry: entry)
        try check(image, damaging: image.count - 0x1000..<image.count, seed: 101, entry: entry)
    }

    @Test func `a damaged 32-bit ELF image`() throws {
        var builder = ELFBuilder.tiny(at: 0x10_0000, content: codeLikeBytes(100, seed: 4))
        builder.is64Bit = false
        builder.machine = 3
        builder.segments.append(.pvhNote(0x10_0010, valueByteCount: 4))
        try check(builder.build(), damaging: 0..<116, seed: 102)
    }

    @Test(arguments: [.gzip, .bzip2, .xz, .lzma, .lz4, .lz4Legacy, .zstd] as [Compression])
    func `a damaged compressed ELF image`(compression: Compression) throws {
        let image = try Compressor.compress(ELFBuilder.linux(textByteCount: 30_000).build(), compression)
        try check(image, damaging: 0..<image.count, seed: 103)
    }

    @Test func `a compressed image with damaged headers inside`() throws {
        var generator = SeededGenerator(seed: 104)
        let linux = ELFBuilder.linux(textByteCount: 2000, pvhEntry: ELFBuilder.linuxText).build()
        for _ in 0..<Self.imageCount {
            let damaged = Self.damaged(linux, in: 0..<300, using: &generator)
            checkOne(try Compressor.compress(damaged, .zstd), .automatic)
        }
    }

    @Test func `noise behind every magic number`() throws {
        var generator = SeededGenerator(seed: 105)
        let starts = try Compressor.payloadFormats.map { try Compressor.compress([1, 2, 3], $0).prefix(12) }
        for start in starts {
            for count in [0, 1, 7, 100, 5000] {
                checkOne(start + (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }, .automatic)
            }
        }
    }

    // MARK: - Helpers

    private func check(
        _ image: [UInt8],
        damaging region: Range<Int>,
        seed: UInt64,
        entry: EntryChoice = .automatic
    ) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<Self.imageCount {
            checkOne(Self.damaged(image, in: region, using: &generator), entry)
        }
    }

    /// Changes, at random, a few bits, a byte to an extreme value, or a field to an extreme or random one; and at
    /// times cuts the image.
    private static func damaged(
        _ image: [UInt8],
        in region: Range<Int>,
        using generator: inout SeededGenerator
    ) -> [UInt8] {
        var image = image
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            let position = Int.random(in: region, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: image[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: image[position] = [0, 1, 0x7f, 0x80, 0xff].randomElement(using: &generator) ?? 0
            case 2:
                for index in position..<min(position + 8, image.count) {
                    image[index] = UInt8.random(in: 0...255, using: &generator)
                }
            default:
                for index in position..<min(position + [2, 4, 8][Int(generator.next() % 3)], image.count) {
                    image[index] = 0xff
                }
            }
        }
        if generator.next() % 8 == 0 { image.removeLast(Int.random(in: 0..<image.count, using: &generator)) }
        return image
    }

    private func checkOne(_ image: [UInt8], _ entry: EntryChoice) {
        do {
            let guest = try Guest(image, memoryByteCount: Self.memoryByteCount, entry: entry)
            let kernel = guest.kernel
            #expect(kernel.kernelRange.contains(kernel.state.instructionPointer))
            #expect(kernel.kernelRange.upperBound.rawValue <= Self.memoryByteCount)
        } catch let error as BootError {
            #expect(!error.description.isEmpty)
        } catch {
            Issue.record(error)
        }
    }
}
