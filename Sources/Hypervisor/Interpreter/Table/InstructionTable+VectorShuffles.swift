// SPDX-License-Identifier: Apache-2.0

extension InstructionTable {
    /// Shuffles, unpacks, packs, blends and conversions (Intel SDM volume 2).
    static let vectorShuffles: [InstructionEntry] = [
        InstructionEntry(.map0F, 0x60, .p66, .vector(Shuffles.interleaveBytes(from: 0))),  // punpcklbw
        InstructionEntry(.map0F, 0x61, .p66, .vector(Shuffles.interleaveWords(from: 0))),  // punpcklwd
        InstructionEntry(.map0F, 0x62, .p66, .vector(Shuffles.interleaveDoublewords(from: 0))),  // punpckldq
        InstructionEntry(.map0F, 0x6C, .p66, .vector(Shuffles.lowToHigh)),  // punpcklqdq
        InstructionEntry(.map0F, 0x68, .p66, .vector(Shuffles.interleaveBytes(from: 8))),  // punpckhbw
        InstructionEntry(.map0F, 0x69, .p66, .vector(Shuffles.interleaveWords(from: 4))),  // punpckhwd
        InstructionEntry(.map0F, 0x6A, .p66, .vector(Shuffles.interleaveDoublewords(from: 2))),  // punpckhdq
        InstructionEntry(.map0F, 0x6D, .p66, .vector(Shuffles.highs)),  // punpckhqdq
        InstructionEntry(.map0F, 0x14, .none, .vector(Shuffles.interleaveDoublewords(from: 0))),  // unpcklps
        InstructionEntry(.map0F, 0x14, .p66, .vector(Shuffles.lowToHigh)),  // unpcklpd
        InstructionEntry(.map0F, 0x15, .none, .vector(Shuffles.interleaveDoublewords(from: 2))),  // unpckhps
        InstructionEntry(.map0F, 0x15, .p66, .vector(Shuffles.highs)),  // unpckhpd

        InstructionEntry(.map0F, 0x63, .p66, .vector(VectorArithmetic.packsswb)),
        InstructionEntry(.map0F, 0x67, .p66, .vector(VectorArithmetic.packuswb)),
        InstructionEntry(.map0F, 0x6B, .p66, .vector(VectorArithmetic.packssdw)),
        InstructionEntry(.map0F38, 0x2B, .p66, .vector(VectorArithmetic.packusdw)),

        InstructionEntry(.map0F, 0x70, .p66, .vector(Shuffles.pshufd)),
        InstructionEntry(.map0F, 0x70, .pF3, .vector(Shuffles.shuffleWords(from: 4))),  // pshufhw
        InstructionEntry(.map0F, 0x70, .pF2, .vector(Shuffles.shuffleWords(from: 0))),  // pshuflw
        InstructionEntry(.map0F38, 0x00, .p66, .vector(Shuffles.pshufb)),
        InstructionEntry(.map0F, 0xC6, .none, .vector(Shuffles.shufps)),
        InstructionEntry(.map0F, 0xC6, .p66, .vector(Shuffles.shufpd)),
        InstructionEntry(.map0F3A, 0x0F, .p66, .vector(Shuffles.palignr)),
        InstructionEntry(.map0F3A, 0x0E, .p66, .vector(Shuffles.pblendw)),
        InstructionEntry(.map0F38, 0x10, .p66, .vector(Shuffles.pblendvb)),

        widening(0x20, .byte, .word, .quadword, isSigned: true),  // pmovsxbw
        widening(0x21, .byte, .doubleword, .doubleword, isSigned: true),  // pmovsxbd
        widening(0x22, .byte, .quadword, .word, isSigned: true),  // pmovsxbq
        widening(0x23, .word, .doubleword, .quadword, isSigned: true),  // pmovsxwd
        widening(0x24, .word, .quadword, .doubleword, isSigned: true),  // pmovsxwq
        widening(0x25, .doubleword, .quadword, .quadword, isSigned: true),  // pmovsxdq
        widening(0x30, .byte, .word, .quadword, isSigned: false),  // pmovzxbw
        widening(0x31, .byte, .doubleword, .doubleword, isSigned: false),  // pmovzxbd
        widening(0x32, .byte, .quadword, .word, isSigned: false),  // pmovzxbq
        widening(0x33, .word, .doubleword, .quadword, isSigned: false),  // pmovzxwd
        widening(0x34, .word, .quadword, .doubleword, isSigned: false),  // pmovzxwq
        widening(0x35, .doubleword, .quadword, .quadword, isSigned: false),  // pmovzxdq
    ]

    private static func widening(
        _ opcode: UInt8,
        _ narrow: OperandWidth,
        _ wide: OperandWidth,
        _ memory: VectorMemory,
        isSigned: Bool
    ) -> InstructionEntry {
        let function = Shuffles.extend(narrow, to: wide, isSigned: isSigned)
        return InstructionEntry(.map0F38, opcode, .p66, .vector(function, memory))
    }
}
