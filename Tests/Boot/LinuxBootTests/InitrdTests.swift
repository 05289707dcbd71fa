// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import LinuxBoot
import MachineModel
import SystemPackage
import Testing

@Suite struct InitrdTests {
    @Test(arguments: [1, 4096, 4097, 3_000_000])
    func `it lies at the top of RAM, on a page boundary`(byteCount: Int) throws {
        let content = codeLikeBytes(byteCount, seed: 8)
        let guest = try Guest(ELFBuilder.linux().build(), initrd: content)
        let range = try #require(guest.kernel.initrdRange)
        #expect(range.lowerBound.rawValue % 4096 == 0)
        #expect(mebibytes(64) - range.upperBound.rawValue < 4096)
        #expect(try guest.bytes(at: range.lowerBound.rawValue, count: byteCount) == content)
    }

    @Test func `it lies below the device hole in a large guest`() throws {
        let guest = try Guest(
            ELFBuilder.linux().build(),
            memoryByteCount: mebibytes(8 << 10),
            initrd: codeLikeBytes(5000, seed: 8)
        )
        #expect(guest.kernel.initrdRange == 0xbfff_e000..<0xbfff_f388)
    }

    @Test func `it lies below initrd_addr_max where the kernel has no better`() throws {
        var builder = BzImageBuilder(payload: try Compressor.payload(ELFBuilder.linux().build(), .gzip))
        builder.extendedLoadFlags = 0x01  // XLF_KERNEL_64 without XLF_CAN_BE_LOADED_ABOVE_4G
        let content = codeLikeBytes(5000, seed: 8)
        let guest = try Guest(builder.build(), memoryByteCount: mebibytes(3 << 10), initrd: content)
        #expect(guest.kernel.initrdRange == 0x7fff_e000..<0x7fff_f388)
        builder.extendedLoadFlags = 0x03
        let other = try Guest(builder.build(), memoryByteCount: mebibytes(3 << 10), initrd: content)
        #expect(other.kernel.initrdRange == 0xbfff_e000..<0xbfff_f388)
    }

    @Test func `it goes below the kernel when there is no room above`() throws {
        var linux = ELFBuilder.linux()
        linux.segments[1].memoryByteCount = 46 << 20  // ends 1 MiB below the top of 64 MiB
        let content = codeLikeBytes(5 << 20, seed: 8)
        let guest = try Guest(linux.build(), initrd: content)
        #expect(guest.kernel.initrdRange == 0xb0_0000..<0x100_0000)
        #expect(try guest.holds(linux))
        #expect(try guest.bytes(at: 0xb0_0000, count: content.count) == content)
    }

    @Test func `it does not overlap the image while that unpacks itself`() throws {
        var builder = BzImageBuilder(payload: try Compressor.payload(ELFBuilder.linux().build(), .gzip))
        builder.initSize = 47 << 20
        let guest = try Guest(builder.build(), entry: .image, initrd: [UInt8](repeating: 1, count: 2 << 20))
        #expect(guest.kernel.initrdRange == 0xe0_0000..<0x100_0000)
    }

    @Test func `one that does not fit says how much is free`() throws {
        let error = #expect(throws: BootError.self) {
            try Guest(ELFBuilder.linux().build(), initrd: [UInt8](repeating: 1, count: 60 << 20))
        }
        guard case .initrdDoesNotFit(_, 62_914_560, 48_779_264, 3_202_895_872, 67_108_864) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        let text = error?.description ?? ""
        #expect(text.contains("it needs 60 MiB, but only 46 MiB are free for it in a guest of 64 MiB"))
        #expect(text.contains("--memory"))
    }

    @Test func `no memory is asked for where none would help`() throws {
        let error = #expect(throws: BootError.self) {
            try withFile([0]) { path in
                // Sparse: more than lies below the device hole.
                let file = try FileDescriptor.open(path, .writeOnly)
                try file.closeAfter { try file.resize(to: 3 << 30) }
                _ = try withFile(ELFBuilder.linux().build()) { kernel in
                    try LinuxLoader(memory: guestMemory(byteCount: mebibytes(64))).load(
                        KernelImage(path: kernel),
                        initrd: path,
                        commandLine: KernelCommandLine()
                    )
                }
            }
        }
        let text = error?.description ?? ""
        #expect(text.contains("no more than 3054 MiB in a guest of any size"), "\(text)")
        #expect(!text.contains("--memory"))
    }

    @Test func `an empty one is none, and a note says so`() throws {
        let guest = try Guest(ELFBuilder.linux().build(), initrd: [])
        #expect(guest.kernel.initrdRange == nil)
        #expect(guest.kernel.notes.count == 1)
        #expect(guest.kernel.notes.first?.contains("is empty") == true)
    }

    @Test func `one that is missing or no file is told before the kernel is unpacked`() throws {
        try withFile(ELFBuilder.linux().build()) { path in
            let loader = LinuxLoader(memory: try guestMemory(byteCount: mebibytes(64)))
            let kernel = try KernelImage(path: path)
            let line = try KernelCommandLine()
            #expect(throws: BootError.file(.initrd, path: "/tmp", .notRegular(kind: "a directory"))) {
                try loader.load(kernel, initrd: "/tmp", commandLine: line)
            }
            let missing: FilePath = "/nonexistent/initrd"
            #expect(
                throws: BootError.file(
                    .initrd,
                    path: missing.string,
                    .system(operation: "open", .noSuchFileOrDirectory)
                )
            ) {
                try loader.load(kernel, initrd: missing, commandLine: line)
            }
        }
    }

    @Test func `a note says when the kernel lacks the code to unpack it`() throws {
        let xz: [UInt8] = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4]
        func notes(_ messages: String...) throws -> [String] {
            var linux = ELFBuilder.linux()
            linux.segments[1].content += messages.flatMap { Array($0.utf8) + [0] }
            return try Guest(linux.build(), initrd: xz).kernel.notes
        }
        let (unpacker, gzip) = ("Initramfs unpacking failed: %s", "Not a gzip file")
        let note = try notes(unpacker, gzip).first ?? ""
        #expect(
            note.hasSuffix(
                "is xz-compressed, which this kernel cannot unpack (it lacks CONFIG_RD_XZ): pack it by gzip, or not at all"
            )
        )
        #expect(try notes(unpacker).first?.hasSuffix("unpack it first") == true)
        #expect(try notes(unpacker, "XZ-compressed data is corrupt").isEmpty)
        // Nothing is known of a kernel that is not Linux.
        #expect(try notes(gzip).isEmpty)
    }
}
