// SPDX-License-Identifier: Apache-2.0

/// The entry point of the kernel that a machine uses.
public enum EntryChoice: String, Codable, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// The fastest entry point that the image offers.
    case automatic
    /// The 64-bit entry point of the ELF image, which a bzImage holds compressed.
    case elf
    /// The 32-bit PVH entry point that an ELF note names.
    case pvh
    /// The bzImage's own 64-bit entry: its code unpacks the kernel and places it at random (KASLR).
    case image

    /// The name of the choice in JSON and on the command line.
    public var description: String { rawValue }
}
