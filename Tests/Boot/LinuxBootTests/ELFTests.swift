// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import LinuxBoot
import MachineModel
import Testing

@Suite struct ELFTests {
    @Test func `segments go to their physical addresses, and bss is zero`() throws {
        let linux = ELFBuilder.linux()
        let guest = try Guest(linux.build())
        #expect(try guest.holds(linux))
        #expect(guest.kernel.state.instructionPointer == GuestAddress(rawValue: linux.entry))
        #expect(guest.kernel.kernelRange == 0x100_0000..<0x117_a120)
    }

    @Test(arguments: [.gzip, .bzip2, .xz, .lzma, .lz4, .lz4Legacy, .zstd] as [Compression])
    func `an ELF image that was compressed as a whole is unpacked`(compression: Compression) throws {
        let linux = ELFBuilder.linux(pvhEntry: ELFBuilder.linuxText)
        let image = try Compressor.compress(linux.build(), compression)
        #expect(try Guest(image).holds(linux))
        #expect(try Guest(image, entry: .pvh).kernel.state.instructionPointer == 0x100_0000)
        guard case .entryNotOffered(.image, _) = try problem(of: image, entry: .image) else {
            Issue.record("an ELF image has no entry of its own")
            return
        }
    }

    @Test(arguments: [.gzip, .bzip2, .xz, .lz4, .lz4Legacy, .zstd] as [Compression])
    func `every member, stream or frame of a compressed image is unpacked`(compression: Compression) throws {
        let linux = ELFBuilder.linux()
        let image = linux.build()
        // Beyond one piece of the unpacker's buffers, and within it; an empty part, too.
        let parts = [image[..<100_000], image[100_000..<100_000], image[100_000..<100_010], image[100_010...]]
        // The legacy format's blocks are 8 MiB but for a file's last, so an empty part has none.
        let used = compression == .lz4Legacy ? parts.filter { !$0.isEmpty } : parts
        let file = try used.flatMap { try Compressor.compress(Array($0), compression) }
        #expect(try Guest(file).holds(linux))
        #expect(try Guest(file + [1, 2, 3]).holds(linux), "bytes that are no further part")

        let damaged = try problem(of: Array(file.dropLast(compression == .lz4Legacy ? 20 : 30)))
        guard case .damagedPayload(compression, _) = damaged else {
            Issue.record("a last part that is cut off: \(String(describing: damaged))")
            return
        }
    }

    @Test(arguments: [.zstd, .lz4] as [Compression])
    func `skippable frames, as pzstd writes them, are skipped`(compression: Compression) throws {
        let linux = ELFBuilder.linux()
        let image = linux.build()
        var file = Bytes()
        for part in [image[..<50_000], image[50_000...]] {
            let frame = try Compressor.compress(Array(part), compression)
            file.put([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0], at: file.all.count)
            file.put(UInt32(frame.count), at: file.all.count)
            file.put(frame, at: file.all.count)
        }
        file.put([0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], at: file.all.count)
        #expect(try Guest(file.all).holds(linux))
    }

    @Test(arguments: [4, 600_000]) func `zeroes may stand between xz streams`(count: Int) throws {
        let linux = ELFBuilder.linux()
        let image = linux.build()
        let padding = [UInt8](repeating: 0, count: count)
        let streams = try [image[..<70_000], image[70_000...]].map { try Compressor.compress(Array($0), .xz) }
        #expect(try Guest(Array((streams + [[]]).joined(separator: padding))).holds(linux))
    }

    @Test func `a position-independent executable is loaded like any other`() throws {
        var builder = ELFBuilder.tiny(at: 0x40_0000)
        builder.type = 3
        #expect(try Guest(builder.build()).holds(builder))
    }

    @Test func `a virtual entry point is translated`() throws {
        var linux = ELFBuilder.linux()
        linux.entry = ELFBuilder.linuxText + ELFBuilder.linuxVirtualOffset + 0x123
        #expect(try Guest(linux.build()).kernel.state.instructionPointer == 0x100_0123)
    }

    @Test func `an entry point outside of every segment is refused`() throws {
        var linux = ELFBuilder.linux()
        linux.entry = 0x50_0000
        #expect(try problem(of: linux.build()) == .malformed("its entry point 0x500000 lies in no segment"))
    }

    // MARK: - Places

    @Test(arguments: [
        0x100, 0x1000, 0x5000, 0x6000, 0xf000, 0x1_0000, 0x3_0000, 0x9_f000, 0xf_f000, 0x10_0000, 0x3ff_f000,
    ])
    func `a small image may lie where nothing else does`(address: UInt64) throws {
        let builder = ELFBuilder.tiny(at: address, content: codeLikeBytes(200, seed: address))
        let guest = try Guest(builder.build(), rngSeed: [UInt8](repeating: 1, count: 32))
        #expect(try guest.holds(builder))
        #expect(guest.kernel.state.instructionPointer == GuestAddress(rawValue: address))
    }

    @Test(
        arguments: [
            (0x4ff, "the GDT"), (0x7000, "the boot parameters"), (0x8ff0, "the boot stack"),
            (0x9000, "the boot page tables"), (0xefff, "the boot page tables"), (0xf_d000, "the setup data"),
            (0x2_0000, "the command line"), (0x9_fc00, "the MP table"), (0xb_8000, "the legacy video and ROM hole"),
            (0xe_0000, "the ACPI tables"), (0xf_fff8, "the reset vector"),
        ] as [(UInt64, String)]
    )
    func `an image may not lie on what the boot needs`(address: UInt64, owner: String) throws {
        let builder = ELFBuilder.tiny(at: address, content: [0xf4, 0xf4])
        let error = #expect(throws: BootError.self) {
            try Guest(builder.build(), rngSeed: [UInt8](repeating: 1, count: 32))
        }
        guard case .kernel(_, .collision("ELF segment 0", address, 2, owner, _)) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func `segments may not overlap`() throws {
        var linux = ELFBuilder.linux()
        linux.segments[1].physical = linux.segments[0].physical + 1000
        guard case .collision("ELF segment 1", _, _, "ELF segment 0", 0x100_0000) = try problem(of: linux.build())
        else {
            Issue.record("loaded")
            return
        }
    }

    @Test func `a kernel that is larger than the guest says how much it needs`() throws {
        let problem = try problem(of: ELFBuilder.linux().build(), memoryByteCount: mebibytes(16))
        #expect(
            problem
                == .doesNotFit(
                    what: "ELF segment 0",
                    start: 0x100_0000,
                    byteCount: 200_000,
                    kernelEnd: 0x117_a120,
                    memory: mebibytes(16)
                )
        )
        #expect(problem?.description.contains("the kernel ends at 18 MiB") == true)
    }

    @Test(arguments: [0xc000_0000, 0xfee0_0000, 0x1_0000_0000, 0xffff_ffff_ffff_f000] as [UInt64])
    func `no segment lies in the device hole or above 4 GiB`(address: UInt64) throws {
        let builder = ELFBuilder.tiny(at: address)
        guard case .doesNotFit = try problem(of: builder.build(), memoryByteCount: mebibytes(5 << 10)) else {
            Issue.record("loaded")
            return
        }
    }

    // MARK: - Images for others

    @Test(
        arguments: [
            (183, "AArch64"), (243, "RISC-V"), (40, "32-bit Arm"), (99, "machine type 99"),
        ] as [(UInt16, String)]
    )
    func `an image for another machine is called by its name`(machine: UInt16, name: String) throws {
        var linux = ELFBuilder.linux()
        linux.machine = machine
        #expect(try problem(of: linux.build()) == .wrongArchitecture("an ELF image for \(name)"))
    }

    @Test func `a 32-bit image without a PVH note is refused`() throws {
        var builder = ELFBuilder.tiny(at: 0x10_0000)
        builder.is64Bit = false
        builder.machine = 3
        #expect(try problem(of: builder.build()) == .wrongArchitecture("a 32-bit x86 ELF image without a PVH note"))
    }

    @Test(arguments: [[0x1bad_b002, 0x10003], [0xe852_50d6, 0, 16]] as [[UInt32]], [false, true])
    func `a multiboot kernel is refused in words`(header: [UInt32], isWide: Bool) throws {
        var content = Bytes(count: 64)
        for (index, word) in (header + [0 &- header.reduce(0, &+)]).enumerated() {
            content.put(word, at: 16 + 4 * index)
        }
        var builder = ELFBuilder.tiny(at: 0x10_0000, content: content.all)
        if !isWide { (builder.is64Bit, builder.machine) = (false, 3) }
        let image = builder.build()
        for file in [image, try Compressor.compress(image, .gzip), [UInt8](repeating: 7, count: 16) + image] {
            let text = try problem(of: file)?.description
            #expect(text?.contains("multiboot kernel") == true, "\(text ?? "loaded")")
        }
        if isWide { #expect(try problem(of: image, entry: .elf) == nil, "asked for by name") }

        builder.segments.append(.pvhNote(0x10_0000))
        #expect(try problem(of: builder.build()) == nil, "PVH enters it in 32-bit mode")
    }

    @Test func `object files, core dumps and programs are no kernels`() throws {
        var builder = ELFBuilder.linux()
        for type in [1, 4] as [UInt16] {
            builder.type = type
            guard case .notAKernel = try problem(of: builder.build()) else {
                Issue.record("type \(type)")
                return
            }
        }
        builder = ELFBuilder.linux()
        builder.segments[1].type = 3  // PT_INTERP
        #expect(
            try problem(of: builder.build()) == .notAKernel("it is a program for a running Linux system, not a kernel")
        )
    }

    // MARK: - Damage

    @Test func `an image cut short says so, wherever it is cut`() throws {
        let linux = ELFBuilder.linux(pvhEntry: ELFBuilder.linuxText)
        let image = linux.build()
        let offsets = linux.contentOffsets
        let cuts = [
            4, 5, 16, 19, 25, 33, 55, 57, 63, 64, 65, 119, 120, 175, offsets[0], offsets[0] + 1, offsets[1] - 0x1000,
            offsets[1], offsets[1] + 9999,
        ]
        for cut in cuts {
            guard case .truncated = try problem(of: Array(image.prefix(cut))) else {
                Issue.record("\(cut) bytes: \(String(describing: try problem(of: Array(image.prefix(cut)))))")
                continue
            }
        }
        for cut in 1...3 { #expect(try problem(of: Array(image.prefix(cut))) != nil) }
    }

    @Test func `impossible program headers are refused`() throws {
        let image = ELFBuilder.linux().build()
        let cases: [(offset: Int, value: UInt64)] = [
            (32, .max), (32, UInt64.max - 100), (64 + 32, .max), (64 + 8, .max), (64 + 40, .max), (64 + 40, 10),
            (64 + 24, .max), (64 + 24, UInt64.max - 1000),
        ]
        for (offset, value) in cases {
            var bytes = Bytes()
            bytes.put(image, at: 0)
            bytes.put(value, at: offset)
            #expect(try problem(of: bytes.all) != nil, "0x\(String(value, radix: 16)) at \(offset)")
        }
        for count in [0, 129, 0xffff] as [UInt16] {
            var bytes = Bytes()
            bytes.put(image, at: 0)
            bytes.put(count, at: 56)
            #expect(try problem(of: bytes.all) != nil, "\(count) program headers")
        }
    }

    @Test func `a huge bss costs nothing`() throws {
        var builder = ELFBuilder.tiny(at: 0x10_0000)
        builder.segments[0].memoryByteCount = 2 << 30
        let guest = try Guest(builder.build(), memoryByteCount: mebibytes(3 << 10))
        #expect(guest.kernel.kernelRange == 0x10_0000..<0x8010_0000)
    }

    @Test(.timeLimit(.minutes(10)))
    func `a compressed bomb ends at 1 GiB`() throws {
        // 8 MiB of zeroes are 33 kB of lz4; the same block again and again makes 2 GiB of them.
        let block = try Compressor.compress([UInt8](repeating: 0, count: 8 << 20), .lz4Legacy).dropFirst(4)
        let linux = ELFBuilder.linux().build() + [UInt8](repeating: 0, count: 8 << 20)
        var image = try Compressor.compress(linux, .lz4Legacy)
        image = Array(image.prefix(4)) + Array(Self.firstBlock(image))
        for _ in 0..<256 { image += block }
        #expect(try problem(of: image) == .payloadTooLarge(.lz4Legacy, limit: 1 << 30))
    }

    /// The first block of a legacy lz4 stream, its size included.
    private static func firstBlock(_ stream: [UInt8]) -> ArraySlice<UInt8> {
        let count = stream[4..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        return stream[4..<8 + count]
    }
}
