// SPDX-License-Identifier: Apache-2.0

import CBootParameters

/// Makes bzImages around a payload, at the offsets that the kernel's own header gives.
struct BzImageBuilder {
    var payload: [UInt8]
    var version: UInt16 = 0x020f
    var setupSectorCount: UInt8 = 3
    var loadFlags: UInt8 = 0x01
    var extendedLoadFlags: UInt16 = 0x03
    var commandLineSize: UInt32 = 2047
    var initrdAddressMax: UInt32 = 0x7fff_ffff
    var preferredAddress: UInt64 = 0x100_0000
    var kernelAlignment: UInt32 = 0x20_0000
    var initSize: UInt32 = 0x80_0000
    var headerEnd: UInt16 = 0x26c
    var hasPayloadField = true
    var kernelVersion = "6.1.0-test (somebody@somewhere) #1 SMP"

    /// The file offset of the protected-mode part.
    var protectedModeOffset: Int { (Int(setupSectorCount == 0 ? 4 : setupSectorCount) + 1) * 512 }
    /// The file offset of the payload.
    var payloadOffset: Int { protectedModeOffset + Self.stubByteCount }
    /// The size of the code in front of the payload: the 64-bit entry is at 0x200.
    static let stubByteCount = 0x400

    func build() -> [UInt8] {
        var file = Bytes(count: protectedModeOffset)
        file.put(Array("MZ".utf8), at: 0)
        file.put(0xff as UInt8, at: cbp_sentinel)
        file.put(setupSectorCount, at: cbp_header)
        file.put(0xaa55 as UInt16, at: cbp_boot_flag)
        file.put([0xeb, UInt8(headerEnd - 0x202)], at: cbp_jump)
        file.put(Array("HdrS".utf8), at: cbp_magic)
        file.put(version, at: cbp_version)
        file.put(loadFlags, at: cbp_load_flags)
        file.put(initrdAddressMax, at: cbp_initrd_address_max)
        file.put(kernelAlignment, at: cbp_kernel_alignment)
        file.put(1 as UInt8, at: cbp_relocatable_kernel)
        file.put(extendedLoadFlags, at: cbp_extended_load_flags)
        file.put(commandLineSize, at: cbp_command_line_size)
        if hasPayloadField {
            file.put(UInt32(Self.stubByteCount), at: cbp_payload_offset)
            file.put(UInt32(payload.count), at: cbp_payload_length)
        }
        file.put(preferredAddress, at: cbp_preferred_address)
        file.put(initSize, at: cbp_init_size)
        file.put(Array(kernelVersion.utf8) + [0], at: 0x300)
        file.put(0x100 as UInt16, at: cbp_kernel_version)

        file.put(codeLikeBytes(Self.stubByteCount, seed: 3), at: protectedModeOffset)
        file.put(payload, at: payloadOffset)
        let byteCount = (file.all.count - protectedModeOffset + 4 + 15) / 16 * 16  // a checksum ends the image
        file.put([0], at: protectedModeOffset + byteCount - 1)
        file.put(UInt32(byteCount / 16), at: cbp_protected_mode_size)
        return file.all
    }
}
