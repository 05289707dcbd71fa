// SPDX-License-Identifier: Apache-2.0

/// The kind of a file that is not a kernel for this machine, by its magic numbers: for the error message only.
enum ForeignFormat {
    /// Up to here a magic number may lie: the volume descriptor of an ISO image.
    static let reach = 0x8006

    /// The problem with a file that starts with `start`.
    static func problem(with start: ByteReader) -> KernelProblem {
        if let architecture = architecture(of: start) { return .wrongArchitecture(architecture) }
        for (magic, offset, what) in table where start.has(magic, at: offset) {
            return .notAKernel(what)
        }
        if MultibootHeader.isPresent(in: start) { return MultibootHeader.problem }
        // Last, because disk images of other kinds begin with a boot sector, too.
        if start.has([0x55, 0xaa], at: 510) {
            return .notAKernel(
                "it is a boot sector or a disk image, not a kernel; its \"HdrS\" signature is missing; boot the "
                    + "kernel that is on it (/boot/vmlinuz)"
            )
        }
        return .notAKernel("it is neither a bzImage nor an ELF image\(beginning(of: start))")
    }

    private static func architecture(of start: ByteReader) -> String? {
        if start.has("ARM\u{64}", at: 56) { return "a Linux kernel for AArch64" }
        if start.has("RSC\u{05}", at: 56) { return "a Linux kernel for RISC-V" }
        if start.has([0x18, 0x28, 0x6f, 0x01], at: 0x24) { return "a Linux kernel for 32-bit Arm" }
        return nil
    }

    private static let table: [(magic: [UInt8], offset: UInt64, what: String)] = [
        ([0x51, 0x46, 0x49, 0xfb], 0, "it is a qcow2 disk image, not a kernel; boot the kernel that is on it"),
        (ascii("KDMV"), 0, "it is a VMDK disk image, not a kernel; boot the kernel that is on it"),
        (ascii("vhdxfile"), 0, "it is a VHDX disk image, not a kernel; boot the kernel that is on it"),
        (ascii("EFI PART"), 512, "it is a disk image, not a kernel; boot the kernel that is on it"),
        (ascii("CD001"), 0x8001, "it is an ISO 9660 image (CD or DVD), not a kernel; boot the kernel that is on it"),
        (ascii("070701"), 0, "it is a cpio archive; that is an initrd, not a kernel (--initrd)"),
        (ascii("070702"), 0, "it is a cpio archive; that is an initrd, not a kernel (--initrd)"),
        (ascii("MZ"), 0, "it is an EFI program without a Linux setup header; boot the kernel (bzImage) inside, if any"),
        (ascii("ustar"), 257, "it is a tar archive, not a kernel; unpack it first"),
        (ascii("!<arch>\n"), 0, "it is a Debian package or another ar archive, not a kernel; unpack it first"),
        (ascii("PK\u{03}\u{04}"), 0, "it is a ZIP archive, not a kernel; unpack it first"),
        (ascii("hsqs"), 0, "it is a squashfs file system, not a kernel"),
        (ascii("#!"), 0, "it is a script, not a kernel"),
    ]

    private static func ascii(_ text: String) -> [UInt8] { Array(text.utf8) }

    private static func beginning(of start: ByteReader) -> String {
        let bytes = start.bytes.prefix(8)
        guard bytes.contains(where: { $0 != 0 }) else { return "; it begins with zeroes" }
        return "; it begins with the bytes " + bytes.map { String($0, radix: 16) }.joined(separator: " ")
    }
}
