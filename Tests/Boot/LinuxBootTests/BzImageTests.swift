// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory
import LinuxBoot
import MachineModel
import Testing

@Suite struct BzImageTests {
    private static let linux = ELFBuilder.linux()

    private static func image(_ compression: Compression = .gzip) throws -> BzImageBuilder {
        BzImageBuilder(payload: try Compressor.payload(linux.build(), compression))
    }

    @Test(arguments: Compressor.payloadFormats)
    func `the payload is unpacked into its place and entered as ELF`(compression: Compression) throws {
        let guest = try Guest(Self.image(compression).build())
        #expect(try guest.holds(Self.linux))
        #expect(guest.kernel.entryProtocol == .linux64)
        #expect(guest.kernel.state.instructionPointer == GuestAddress(rawValue: Self.linux.entry))
        #expect(guest.kernel.state.rsi == X86Layout.zeroPage.rawValue)
        #expect(guest.kernel.notes.isEmpty)
        #expect(guest.kernel.kernelRange == 0x100_0000..<0x117_a120)
    }

    @Test(arguments: [.lz4Legacy, .zstd, .xz] as [Compression])
    func `a kernel of several blocks and more than one buffer is unpacked`(compression: Compression) throws {
        var linux = ELFBuilder.linux(textByteCount: 9 << 20)
        linux.segments[1].physical = 0x300_0000
        var builder = BzImageBuilder(payload: try Compressor.payload(linux.build(), compression))
        builder.initSize = 64 << 20
        #expect(try Guest(builder.build(), memoryByteCount: mebibytes(128)).holds(linux))
    }

    @Test func `setup_sects 0 means 4`() throws {
        var builder = try Self.image()
        builder.setupSectorCount = 0
        #expect(try Guest(builder.build()).holds(Self.linux))
    }

    @Test func `relocations behind the ELF image are ignored`() throws {
        let relocations = [UInt8](repeating: 0x5a, count: 50_000)
        let payload = try Compressor.payload(Self.linux.build() + relocations, .zstd)
        #expect(try Guest(BzImageBuilder(payload: payload).build()).holds(Self.linux))
    }

    @Test func `a signature behind the image is ignored`() throws {
        let image = try Self.image().build() + [UInt8](repeating: 0x30, count: 1500)
        #expect(try Guest(image).holds(Self.linux))
    }

    // MARK: - The image's own entry

    @Test(
        arguments: [
            [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a],  // LZO
            [0xde, 0xad, 0xbe, 0xef],
        ] as [[UInt8]]
    )
    func `what cannot be unpacked falls back to the image's own entry, with a reason`(magic: [UInt8]) throws {
        let builder = BzImageBuilder(payload: magic + codeLikeBytes(5000, seed: 9))
        let file = builder.build()
        let guest = try Guest(file)
        #expect(guest.kernel.notes.count == 1)
        #expect(guest.kernel.entryProtocol == .linux64)
        #expect(guest.kernel.state.instructionPointer == 0x100_0200)
        let loaded = Array(file[builder.protectedModeOffset...])
        #expect(try guest.bytes(at: 0x100_0000, count: loaded.count) == loaded)
        #expect(guest.kernel.kernelRange == 0x100_0000..<0x180_0000)
    }

    @Test func `a payload that is no ELF image falls back`() throws {
        let payload = try Compressor.payload(codeLikeBytes(5000, seed: 9), .xz)
        let guest = try Guest(BzImageBuilder(payload: payload).build())
        #expect(guest.kernel.state.instructionPointer == 0x100_0200)
    }

    @Test func `an image that does not say where its payload is falls back`() throws {
        var builder = try Self.image(.zstd)
        builder.hasPayloadField = false
        let guest = try Guest(builder.build())
        #expect(guest.kernel.state.instructionPointer == 0x100_0200)
        #expect(guest.kernel.notes.first?.contains("does not say where") == true)
    }

    @Test func `the fallback finds memory as if nothing had been unpacked`() throws {
        var linux = ELFBuilder.linux()
        linux.segments.swapAt(0, 1)  // the data come first, so they are in place when the second block turns out bad
        let payload = try Compressor.xzWithUnknownSecondBlock(linux.build() + codeLikeBytes(1 << 20, seed: 5))
        let guest = try Guest(BzImageBuilder(payload: payload).build())
        #expect(guest.kernel.notes.first?.contains("filters that liblzma does not know") == true)
        #expect(guest.kernel.state.instructionPointer == 0x100_0200)
        #expect(try guest.bytes(at: ELFBuilder.linuxData, count: 10_000).allSatisfy { $0 == 0 })
    }

    @Test func `the image's own entry can be asked for`() throws {
        let guest = try Guest(Self.image().build(), entry: .image)
        #expect(guest.kernel.state.instructionPointer == 0x100_0200)
        #expect(guest.kernel.notes.isEmpty)
        #expect(try guest.load(UInt32.self, at: X86Layout.zeroPage.rawValue + 0x214) == 0x100_0000)
    }

    @Test func `no fallback when the ELF entry was asked for`() throws {
        let builder = BzImageBuilder(payload: [0xde, 0xad, 0xbe, 0xef])
        guard case .unusablePayload = try problem(of: builder.build(), entry: .elf) else {
            Issue.record("loaded")
            return
        }
    }

    @Test func `an image that ends before its own entry is damaged`() throws {
        var builder = try Self.image()
        (builder.initSize, builder.hasPayloadField) = (0, false)
        var image = builder.build()
        image.replaceSubrange(0x1f4..<0x1f8, with: [0x20, 0, 0, 0])  // syssize: 0x200 bytes
        #expect(
            try problem(of: image, entry: .image) == .malformed("its 64-bit entry point lies beyond its end")
        )
    }

    @Test func `the image needs init_size bytes at its preferred address`() throws {
        var builder = try Self.image()
        builder.initSize = 60 << 20
        let problem = try problem(of: builder.build(), entry: .image)
        #expect(
            problem
                == .doesNotFit(
                    what: "the bzImage",
                    start: 0x100_0000,
                    byteCount: 60 << 20,
                    kernelEnd: 76 << 20,
                    memory: mebibytes(64)
                )
        )
    }

    // MARK: - Headers that are wrong

    @Test func `an old boot protocol is refused by its number`() throws {
        var builder = try Self.image()
        builder.version = 0x0207
        let problem = try problem(of: builder.build())
        #expect(problem == .oldBootProtocol(0x0207))
        #expect(problem?.description.contains("2.07") == true)
    }

    @Test func `a header of protocol 2.08 is enough`() throws {
        var builder = try Self.image()
        builder.version = 0x0208
        builder.headerEnd = 0x250
        #expect(try Guest(builder.build()).holds(Self.linux))
    }

    @Test func `a 32-bit kernel is refused as such`() throws {
        var builder = try Self.image()
        builder.extendedLoadFlags = 0
        #expect(
            try problem(of: builder.build()) == .wrongArchitecture("a 32-bit x86 kernel (XLF_KERNEL_64 is not set)")
        )
    }

    @Test func `a zImage is refused as such`() throws {
        var builder = try Self.image()
        builder.loadFlags = 0
        #expect(try problem(of: builder.build())?.description.contains("zImage") == true)
    }

    @Test func `a payload outside of the image is refused`() throws {
        var image = try Self.image().build()
        image[0x24f] = 0x7f  // payload_length
        #expect(try problem(of: image)?.description.contains("payload should end") == true)
    }

    // MARK: - Damage

    @Test(arguments: Compressor.payloadFormats)
    func `an image cut short says so, wherever it is cut`(compression: Compression) throws {
        let builder = try Self.image(compression)
        let image = builder.build()
        let interesting = [
            1, 2, 0x1f1, 0x1fe, 0x200, 0x205, 0x206, 0x208, 0x20f, 0x211, 0x230, 0x248, 0x24f, 0x250, 0x260, 0x263,
            0x26b, 0x26c, 0x400, builder.protectedModeOffset - 1, builder.protectedModeOffset,
            builder.protectedModeOffset + 0x200, builder.payloadOffset, builder.payloadOffset + 1,
            builder.payloadOffset + 4, builder.payloadOffset + 9, image.count / 2, image.count - 20, image.count - 16,
        ]
        for count in interesting {
            let problem = try #require(try problem(of: Array(image.prefix(count))), "\(count) bytes")
            switch problem {
            case .truncated, .notAKernel: break
            default: Issue.record("\(count) bytes: \(problem)")
            }
        }
    }

    @Test(arguments: [.gzip, .bzip2, .xz, .lzma, .lz4Legacy, .zstd] as [Compression])
    func `a compressed kernel that ends early is damaged`(compression: Compression) throws {
        let payload = try Compressor.compress(Self.linux.build(), compression)
        let problem = try problem(of: BzImageBuilder(payload: Array(payload.prefix(payload.count / 2))).build())
        guard case .damagedPayload(compression, _) = problem else {
            Issue.record("\(String(describing: problem))")
            return
        }
    }

    @Test(arguments: [.gzip, .bzip2, .xz] as [Compression])
    func `a flipped bit is found by the checksum`(compression: Compression) throws {
        var payload = try Compressor.payload(Self.linux.build(), compression)
        payload[payload.count * 9 / 10] ^= 0x10
        let problem = try problem(of: BzImageBuilder(payload: payload).build())
        guard case .damagedPayload(compression, _) = problem else {
            Issue.record("\(String(describing: problem))")
            return
        }
    }

    @Test(.timeLimit(.minutes(10)), arguments: [.gzip, .bzip2, .xz, .lzma, .lz4Legacy, .zstd] as [Compression])
    func `a decompression bomb ends at init_size`(compression: Compression) throws {
        let linux = Self.linux.build() + [UInt8](repeating: 0, count: 6 << 20)
        var builder = BzImageBuilder(payload: try Compressor.payload(linux, compression))
        builder.initSize = 4 << 20
        #expect(try problem(of: builder.build()) == .payloadTooLarge(compression, limit: 4 << 20))
    }
}
