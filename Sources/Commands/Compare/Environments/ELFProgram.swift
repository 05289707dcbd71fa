// SPDX-License-Identifier: Apache-2.0

/// The facts about a program that matter before it is put where no library is.
enum ELFProgram {
    /// Returns whether a 64-bit ELF program names a dynamic linker (a program header PT_INTERP).
    ///
    /// - Returns: Whether it does; false for any other file.
    static func needsInterpreter(_ bytes: [UInt8]) -> Bool {
        // ELF-64 object file format 1.5: e_phoff at 32, e_phentsize at 54, e_phnum at 56; p_type is first in each.
        guard let table = integer(bytes, at: 32, size: 8), let size = integer(bytes, at: 54, size: 2),
            let count = integer(bytes, at: 56, size: 2), size > 0
        else { return false }
        return (0..<count).contains { index in
            integer(bytes, at: table &+ index * size, size: 4) == 3
        }
    }

    private static func integer(_ bytes: [UInt8], at offset: Int, size: Int) -> Int? {
        guard offset >= 0, offset <= bytes.count - size else { return nil }
        return bytes[offset..<(offset + size)].reversed().reduce(0) { $0 << 8 | Int($1) } & Int.max
    }
}
