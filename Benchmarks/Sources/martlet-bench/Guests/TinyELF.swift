// SPDX-License-Identifier: Apache-2.0

/// An ELF image of one segment that Martlet enters at its 64-bit entry point and QEMU through its PVH note.
enum TinyELF {
    private static let base: UInt32 = 16 << 20
    private static let pageByteCount = 4096

    static func image(of code: GuestCode) -> [UInt8] {
        let noteOffset = 64 + 2 * 56
        // XEN_ELFNOTE_PHYS32_ENTRY of owner "Xen": the 32-bit entry point, here the same as the other.
        var note: [UInt8] = []
        for word in [4, 4, 18] as [UInt32] { note.append(integer: word) }
        note += Array("Xen\0".utf8)
        note.append(integer: base)

        var image: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        image.append(integer: 2 as UInt16)  // ET_EXEC
        image.append(integer: 62 as UInt16)  // EM_X86_64
        image.append(integer: 1 as UInt32)
        image.append(integer: UInt64(base))
        image.append(integer: 64 as UInt64)  // program headers
        image.append(integer: 0 as UInt64)
        image.append(integer: 0 as UInt32)
        for half in [64, 56, 2, 0, 0, 0] as [UInt16] { image.append(integer: half) }
        append(to: &image, type: 1, offset: pageByteCount, address: UInt64(base), byteCount: code.bytes.count)
        append(to: &image, type: 4, offset: noteOffset, address: 0, byteCount: note.count)
        image += note
        image += [UInt8](repeating: 0, count: pageByteCount - image.count)
        return image + code.bytes
    }

    private static func append(to image: inout [UInt8], type: UInt32, offset: Int, address: UInt64, byteCount: Int) {
        image.append(integer: type)
        image.append(integer: 5 as UInt32)  // readable, executable
        image.append(integer: UInt64(offset))
        image.append(integer: address)
        image.append(integer: address)
        image.append(integer: UInt64(byteCount))
        image.append(integer: UInt64(byteCount))
        image.append(integer: (type == 1 ? UInt64(pageByteCount) : 4))
    }
}
