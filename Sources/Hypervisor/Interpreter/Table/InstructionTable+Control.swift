// SPDX-License-Identifier: Apache-2.0

extension InstructionTable {
    /// Traps, hints, fences and SMAP (Intel SDM volume 2; AMD APM volume 3).
    static let control: [InstructionEntry] =
        [
            InstructionEntry(.primary, 0xCC, .any, .raise(.breakpoint)),  // int3
            InstructionEntry(.primary, 0xCD, .any, .softwareInterrupt),  // int
            InstructionEntry(.map0F38, 0x82, .p66, form: .memory, .invalidateTranslations),  // invpcid
            InstructionEntry(.primary, 0xF1, .any, .raise(.debug)),  // int1
            InstructionEntry(.map0F, 0x0B, .any, .undefined),  // ud2
            InstructionEntry(.map0F, 0xB9, .any, .undefined),  // ud1
            InstructionEntry(.map0F, 0xFF, .any, .undefined),  // ud0
            InstructionEntry(.map0F, 0x01, .none, group: 1, form: .exactly(2), .setAlignmentCheck(false)),  // clac
            InstructionEntry(.map0F, 0x01, .none, group: 1, form: .exactly(3), .setAlignmentCheck(true)),  // stac
            InstructionEntry(.map0F, 0x01, .none, group: 5, form: .exactly(0), .noOperation),  // serialize
            InstructionEntry(.primary, 0x90, .pF3, .pause),
            InstructionEntry(.map0F, 0x0D, .any, form: .memory, .noOperation),  // prefetch, prefetchw
            InstructionEntry(.map0F, 0xAE, .none, group: 5, form: .register, .noOperation),  // lfence
            InstructionEntry(.map0F, 0xAE, .none, group: 6, form: .register, .noOperation),  // mfence
            InstructionEntry(.map0F, 0xAE, .none, group: 7, form: .register, .noOperation),  // sfence
            InstructionEntry(.map0F, 0xAE, .none, group: 7, form: .memory, .flushCacheLine),  // clflush
            InstructionEntry(.map0F, 0xAE, .p66, group: 7, form: .memory, .flushCacheLine),  // clflushopt
            InstructionEntry(.map0F, 0xAE, .p66, group: 6, form: .memory, .flushCacheLine),  // clwb
        ]
        // prefetcht0 and its like, nop with an operand, endbr64: "hint nop" space.
        + (UInt8(0x18)...0x1F).map { InstructionEntry(.map0F, $0, .any, .noOperation) }
}
