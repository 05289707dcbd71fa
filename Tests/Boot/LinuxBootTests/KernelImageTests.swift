// SPDX-License-Identifier: Apache-2.0

@testable import LinuxBoot
import SystemPackage
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

@Suite struct KernelImageTests {
    @Test func `a bzImage tells its version and its command line limit`() throws {
        var builder = BzImageBuilder(payload: [1, 2, 3])
        builder.commandLineSize = 1000
        try withFile(builder.build()) { path in
            let image = try KernelImage(path: path)
            guard case .bzImage = image.contents else { return #expect(Bool(false), "\(image.contents)") }
            #expect(image.version == "6.1.0-test (somebody@somewhere) #1 SMP")
            #expect(image.commandLineLimit == 1000)
            #expect(image.path == path.string)
        }
    }

    @Test func `a version text is cut where it stops being printable`() throws {
        var builder = BzImageBuilder(payload: [1, 2, 3])
        builder.kernelVersion = "6.1\u{1b}[2J"
        try withFile(builder.build()) { path in
            let image = try KernelImage(path: path)
            #expect(image.version == "6.1")
        }
    }

    @Test func `ELF images and compressed ones are told by their magic numbers`() throws {
        try withFile(ELFBuilder.tiny(at: 0x10_0000).build()) { path in
            let image = try KernelImage(path: path)
            guard case .elf = image.contents else { return #expect(Bool(false), "\(image.contents)") }
            #expect(image.commandLineLimit == 2047)
        }
        for compression in [.gzip, .bzip2, .xz, .lzma, .lz4, .lz4Legacy, .zstd] as [Compression] {
            try withFile(Compressor.compress([1, 2, 3], compression)) { path in
                let image = try KernelImage(path: path)
                #expect(image.contents == .compressed(compression))
            }
        }
    }

    // MARK: - Files that cannot be read

    private static func fileProblem(_ path: FilePath) -> FileProblem? {
        do {
            _ = try KernelImage(path: path)
            return nil
        } catch BootError.file(.kernel, path: path.string, let problem) {
            return problem
        } catch {
            return nil
        }
    }

    @Test func `a missing file is named`() {
        let path: FilePath = "/nonexistent/bzImage"
        let error = #expect(throws: BootError.self) { try KernelImage(path: path) }
        #expect(error == .file(.kernel, path: path.string, .system(operation: "open", .noSuchFileOrDirectory)))
        #expect(error?.description == "kernel /nonexistent/bzImage: cannot open it: No such file or directory")
    }

    @Test func `a directory, a device and an empty file are refused`() throws {
        #expect(Self.fileProblem("/tmp") == .notRegular(kind: "a directory"))
        #expect(Self.fileProblem("/dev/null") == .notRegular(kind: "a character device"))
        try withFile([]) { #expect(Self.fileProblem($0) == .empty) }
    }

    @Test(.timeLimit(.minutes(10)))
    func `a FIFO that nobody writes to is refused at once`() throws {
        try withFile([]) { path in
            let fifo = FilePath(path.string + ".fifo")
            #expect(unsafe fifo.withPlatformString { unsafe mkfifo($0, 0o600) } == 0)
            defer { _ = unsafe fifo.withPlatformString { unsafe unlink($0) } }
            #expect(Self.fileProblem(fifo) == .notRegular(kind: "a FIFO"))
        }
    }

    // MARK: - Files that are something else

    private static func start(_ magic: [UInt8], at offset: Int = 0) -> [UInt8] {
        var bytes = Bytes(count: 0x9000)
        bytes.put([0x55, 0xaa], at: 510)
        bytes.put(magic, at: offset)
        return bytes.all
    }

    @Test(arguments: [
        (start([0x51, 0x46, 0x49, 0xfb]), "qcow2"),
        (start(Array("CD001".utf8), at: 0x8001), "ISO 9660"),
        (start(Array("EFI PART".utf8), at: 512), "disk image"),
        (start([]), "boot sector or a disk image"),
        (start(Array("070701".utf8)), "--initrd"),
        (start(Array("MZ".utf8)), "EFI program"),
        (start(Array("ustar".utf8), at: 257), "tar archive"),
        (start(Array("#!".utf8)), "script"),
        ([UInt8](repeating: 0, count: 4096), "begins with zeroes"),
        (Array("hello".utf8), "68 65 6c 6c 6f"),
    ])
    func `another kind of file is called by its name`(bytes: [UInt8], word: String) throws {
        let problem = try #require(try problem(of: bytes))
        guard case .notAKernel(let what) = problem else {
            Issue.record("\(problem)")
            return
        }
        #expect(what.contains(word))
    }

    @Test(arguments: [("ARM\u{64}", 56, "AArch64"), ("RSC\u{05}", 56, "RISC-V")])
    func `a kernel for another processor is called by its architecture`(magic: String, offset: Int, name: String) throws
    {
        var bytes = Self.start(Array("MZ".utf8))
        bytes.replaceSubrange(offset..<offset + 4, with: Array(magic.utf8))
        #expect(try problem(of: bytes) == .wrongArchitecture("a Linux kernel for \(name)"))
    }

    @Test func `a compressed file that holds no kernel is described by its content`() throws {
        let archive = try Compressor.compress(Self.start(Array("070701".utf8)), .gzip)
        #expect(
            try problem(of: archive)
                == .notAKernel(
                    "it is gzip-compressed; unpacked, it is a cpio archive; that is an initrd, not a kernel (--initrd)"
                )
        )
        let arm = try Compressor.compress(Self.start(Array("ARM\u{64}".utf8), at: 56), .gzip)
        #expect(try problem(of: arm) == .wrongArchitecture("a Linux kernel for AArch64"))
        let image = try Compressor.compress(BzImageBuilder(payload: [1]).build(), .xz)
        #expect(try problem(of: image) == .notAKernel("it is a xz-compressed bzImage; unpack it first"))
    }
}
