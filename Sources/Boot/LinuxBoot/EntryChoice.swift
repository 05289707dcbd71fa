// SPDX-License-Identifier: Apache-2.0

/// Which way into the kernel the user wants.
package enum EntryChoice: String, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// The fastest way that the image offers; <doc:EntryPoints> has the rules.
    case automatic
    /// The 64-bit entry point of the ELF image, which a bzImage holds compressed.
    case elf
    /// The 32-bit PVH entry point that an ELF note names.
    case pvh
    /// The bzImage's own 64-bit entry: its code unpacks the kernel and places it at random (KASLR).
    case image

    package var description: String { rawValue }
}

/// What a kernel finds in registers and memory when it is entered.
package enum EntryProtocol: String, Hashable, Sendable, CustomStringConvertible {
    /// Linux's 64-bit boot protocol: long mode, `boot_params` in RSI.
    case linux64
    /// Xen's PVH: 32-bit protected mode without paging, `hvm_start_info` in EBX.
    case pvh

    package var description: String { rawValue }
}
