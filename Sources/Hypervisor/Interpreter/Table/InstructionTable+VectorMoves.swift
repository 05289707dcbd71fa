// SPDX-License-Identifier: Apache-2.0

extension InstructionTable {
    private static let noneOr66: MandatoryPrefix = [.none, .p66]

    /// Moves among XMM registers, memory and integers (Intel SDM volume 2).
    static let vectorMoves: [InstructionEntry] = [
        // movups, movupd, movss, movsd
        InstructionEntry(.map0F, 0x10, noneOr66, .vector(Shuffles.copy, .unaligned)),
        InstructionEntry(.map0F, 0x10, .pF3, form: .register, .vector(Shuffles.mergeLowDoubleword)),
        InstructionEntry(.map0F, 0x10, .pF3, form: .memory, .vector(Shuffles.copy, .doubleword)),
        InstructionEntry(.map0F, 0x10, .pF2, form: .register, .vector(Shuffles.mergeLow)),
        InstructionEntry(.map0F, 0x10, .pF2, form: .memory, .vector(Shuffles.copy, .quadword)),
        InstructionEntry(.map0F, 0x11, noneOr66, .vectorStore(Shuffles.copy, .unaligned)),
        InstructionEntry(.map0F, 0x11, .pF3, .vectorStore(Shuffles.mergeLowDoubleword, .doubleword)),
        InstructionEntry(.map0F, 0x11, .pF2, .vectorStore(Shuffles.mergeLow, .quadword)),
        // movlps, movlpd, movhlps, movddup, movhps, movhpd, movlhps
        InstructionEntry(.map0F, 0x12, noneOr66, form: .memory, .vector(Shuffles.mergeLow, .quadword)),
        InstructionEntry(.map0F, 0x12, .none, form: .register, .vector(Shuffles.highToLow)),
        InstructionEntry(.map0F, 0x12, .pF2, .vector(Shuffles.duplicateLow, .quadword)),
        InstructionEntry(.map0F, 0x13, noneOr66, form: .memory, .vectorStore(Shuffles.copy, .quadword)),
        InstructionEntry(.map0F, 0x16, .none, .vector(Shuffles.lowToHigh, .quadword)),
        InstructionEntry(.map0F, 0x16, .p66, form: .memory, .vector(Shuffles.lowToHigh, .quadword)),
        InstructionEntry(.map0F, 0x17, noneOr66, form: .memory, .vectorStore(Shuffles.high, .quadword)),
        // movaps, movapd, movntps, movntpd
        InstructionEntry(.map0F, 0x28, noneOr66, .vector(Shuffles.copy)),
        InstructionEntry(.map0F, 0x29, noneOr66, .vectorStore(Shuffles.copy, .aligned)),
        InstructionEntry(.map0F, 0x2B, noneOr66, form: .memory, .vectorStore(Shuffles.copy, .aligned)),
        // movdqa, movdqu, movntdq, movntdqa, lddqu
        InstructionEntry(.map0F, 0x6F, .p66, .vector(Shuffles.copy)),
        InstructionEntry(.map0F, 0x6F, .pF3, .vector(Shuffles.copy, .unaligned)),
        InstructionEntry(.map0F, 0x7F, .p66, .vectorStore(Shuffles.copy, .aligned)),
        InstructionEntry(.map0F, 0x7F, .pF3, .vectorStore(Shuffles.copy, .unaligned)),
        InstructionEntry(.map0F, 0xE7, .p66, form: .memory, .vectorStore(Shuffles.copy, .aligned)),
        InstructionEntry(.map0F38, 0x2A, .p66, form: .memory, .vector(Shuffles.copy)),
        InstructionEntry(.map0F, 0xF0, .pF2, form: .memory, .vector(Shuffles.copy, .unaligned)),
        // movd, movq
        InstructionEntry(.map0F, 0x6E, .p66, .vectorInsert(Shuffles.copy, .doublewordOrQuadword)),
        InstructionEntry(.map0F, 0x7E, .p66, .vectorExtract(Shuffles.low, .doublewordOrQuadword)),
        InstructionEntry(.map0F, 0x7E, .pF3, .vector(Shuffles.copyLow, .quadword)),
        InstructionEntry(.map0F, 0xD6, .p66, .vectorStore(Shuffles.copyLow, .quadword)),
        // pinsr, pextr
        InstructionEntry(.map0F3A, 0x20, .p66, .vectorInsert(Shuffles.pinsrb, .byte)),
        InstructionEntry(.map0F, 0xC4, .p66, .vectorInsert(Shuffles.pinsrw, .word)),
        InstructionEntry(.map0F3A, 0x22, .p66, .vectorInsert(Shuffles.pinsrd, .doublewordOrQuadword)),
        InstructionEntry(.map0F3A, 0x14, .p66, .vectorExtract(Shuffles.pextrb, .byte)),
        InstructionEntry(.map0F3A, 0x15, .p66, .vectorExtract(Shuffles.pextrw, .word)),
        InstructionEntry(.map0F3A, 0x16, .p66, .vectorExtract(Shuffles.pextrd, .doublewordOrQuadword)),
        InstructionEntry(.map0F, 0xC5, .p66, form: .register, .vectorMask(Shuffles.pextrw)),
        // pmovmskb, movmskps, movmskpd
        InstructionEntry(.map0F, 0xD7, .p66, form: .register, .vectorMask(Shuffles.pmovmskb)),
        InstructionEntry(.map0F, 0x50, .none, form: .register, .vectorMask(Shuffles.movmskps)),
        InstructionEntry(.map0F, 0x50, .p66, form: .register, .vectorMask(Shuffles.movmskpd)),
    ]
}
