// SPDX-License-Identifier: Apache-2.0

/// A real kernel, byte for byte, but for its first instructions, which end the machine.
///
/// So the life of its monitor is what it takes to unpack and load a kernel.
struct StoppedKernel {
    /// A way to compress a kernel.
    enum Compression: String, CaseIterable {
        case gzip, bzip2, lzma, xz, lz4, zstd

        /// The tool as Linux 6.1 calls it (scripts/Makefile.lib).
        var packing: (tool: String, arguments: [String]) {
            switch self {
            case .gzip: ("gzip", ["-n", "-9"])
            case .bzip2: ("bzip2", ["-9"])
            case .lzma: ("xz", ["--format=lzma", "-9"])
            case .xz: ("xz", ["--check=crc32", "--x86", "--lzma2=dict=32MiB"])
            case .lz4: ("lz4", ["-l", "-9"])
            case .zstd: ("zstd", ["-q", "-22", "--ultra"])
            }
        }

        /// The same tool, set to unpack.
        func unpacking(_ path: String) -> Command {
            Command(packing.tool, (self == .lzma ? ["--format=lzma"] : []) + ["-dc", path])
        }
    }

    /// The ELF image.
    let image: [UInt8]

    /// - Parameter vmlinux: An ELF image of a kernel.
    /// - Throws: When no segment holds its entry point.
    init(vmlinux: [UInt8]) throws {
        let entry = vmlinux.load(UInt64.self, at: 24)
        let headers = Int(vmlinux.load(UInt64.self, at: 32))
        let count = Int(vmlinux.load(UInt16.self, at: 56))
        for header in (0..<count).map({ headers + 56 * $0 }) where vmlinux.load(UInt32.self, at: header) == 1 {
            let address = vmlinux.load(UInt64.self, at: header + 24)
            let byteCount = vmlinux.load(UInt64.self, at: header + 32)
            guard entry >= address, entry - address < byteCount else { continue }
            let offset = Int(vmlinux.load(UInt64.self, at: header + 8) + entry - address)
            let code = GuestCode.end.bytes
            var image = vmlinux
            image.replaceSubrange(offset..<offset + code.count, with: code)
            self.image = image
            return
        }
        throw BenchmarkError("the kernel has no segment for its entry point")
    }

    /// A bzImage around `payload`, which is this kernel, compressed.
    func bzImage(payload: [UInt8]) -> [UInt8] {
        let setupByteCount = 1024
        let payloadOffset = 0x400
        // Linux ends a payload with the unpacked size.
        var protectedMode = [UInt8](repeating: 0xf4, count: payloadOffset) + payload
        protectedMode.append(integer: UInt32(image.count))
        protectedMode += [UInt8](repeating: 0, count: -protectedMode.count & 15)
        var setup = [UInt8](repeating: 0, count: setupByteCount)
        setup[0x1f1] = 1  // setup_sects
        setup.store(UInt32(protectedMode.count / 16), at: 0x1f4)  // syssize
        setup.store(0xaa55 as UInt16, at: 0x1fe)
        setup.replaceSubrange(0x200..<0x206, with: [0xeb, 0x6a] + Array("HdrS".utf8))
        setup.store(0x020f as UInt16, at: 0x206)  // version
        setup[0x211] = 1  // LOADED_HIGH
        setup.store(0x7fff_ffff as UInt32, at: 0x22c)  // initrd_addr_max
        setup.store(0x20_0000 as UInt32, at: 0x230)  // kernel_alignment
        setup[0x234] = 1  // relocatable_kernel
        setup.store(3 as UInt16, at: 0x236)  // XLF_KERNEL_64, XLF_CAN_BE_LOADED_ABOVE_4G
        setup.store(2047 as UInt32, at: 0x238)  // cmdline_size
        setup.store(UInt32(payloadOffset), at: 0x248)
        setup.store(UInt32(payload.count + 4), at: 0x24c)
        setup.store(0x100_0000 as UInt64, at: 0x258)  // pref_address
        setup.store(UInt32(64 << 20), at: 0x260)  // init_size
        return setup + protectedMode
    }
}
