// SPDX-License-Identifier: Apache-2.0

/// A firmware image whose first instruction, at the reset vector, is that of a guest: for a monitor that cannot do
/// without firmware, the least time to a first instruction that it can have.
enum ResetVectorROM {
    static func image(of code: GuestCode) -> [UInt8] {
        var image = [UInt8](repeating: 0xf4, count: 64 << 10)
        let realMode = inRealMode(code.bytes)
        image.replaceSubrange(0..<realMode.count, with: realMode)
        // jmp near to offset 0 of the segment, from its offset fff0h
        image.replaceSubrange(0xfff0..<0xfff3, with: [0xe9, 0x0d, 0x00])
        return image
    }

    /// `mov dx, imm16` has no operand-size prefix in 16-bit code; all else that such code here consists of is the same.
    private static func inRealMode(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        for index in bytes.indices {
            let isPrefix = bytes[index] == 0x66 && index + 1 < bytes.count && bytes[index + 1] == 0xba
            if !isPrefix { result.append(bytes[index]) }
        }
        return result
    }
}
