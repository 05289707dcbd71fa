// SPDX-License-Identifier: Apache-2.0

extension InstructionTable {
    /// Integer instructions other than BMI (Intel SDM volume 2).
    static let integers: [InstructionEntry] = [
        InstructionEntry(.map0F, 0xB8, .pF3, .integer(IntegerOperation(function: BitManipulation.popcnt))),
        InstructionEntry(.map0F, 0xBC, .pF3, .integer(IntegerOperation(function: BitManipulation.tzcnt))),
        InstructionEntry(.map0F, 0xBD, .pF3, .integer(IntegerOperation(function: BitManipulation.lzcnt))),
        InstructionEntry(
            .map0F38,
            0xF0,
            .pF2,
            .integer(
                IntegerOperation(width: .doublewordOrQuadword, sourceWidth: .byte, function: BitManipulation.crc32)
            )
        ),
        InstructionEntry(
            .map0F38,
            0xF1,
            .pF2,
            .integer(IntegerOperation(width: .doublewordOrQuadword, function: BitManipulation.crc32))
        ),
        InstructionEntry(
            .map0F38,
            0xF0,
            .noRepeat,
            form: .memory,
            .integer(IntegerOperation(function: BitManipulation.movbe))
        ),
        InstructionEntry(.map0F38, 0xF1, .noRepeat, form: .memory, .storeBigEndian),
        InstructionEntry(.map0F38, 0xF6, .p66, carryChain(BitManipulation.adcx)),
        InstructionEntry(.map0F38, 0xF6, .pF3, carryChain(BitManipulation.adox)),
        InstructionEntry(.map0F, 0xC7, .any, group: 1, form: .memory, isLockable: true, .compareExchangePair),
        InstructionEntry(.map0F, 0xC7, .noRepeat, group: 6, form: .register, .random),  // rdrand
        InstructionEntry(.map0F, 0xC7, .noRepeat, group: 7, form: .register, .random),  // rdseed
    ]

    private static func carryChain(_ function: @escaping @Sendable (inout IntegerOperands) -> UInt64) -> Operation {
        .integer(
            IntegerOperation(width: .doublewordOrQuadword, sourceWidth: .doublewordOrQuadword, function: function)
        )
    }

    /// BMI1 and BMI2 (Intel SDM volume 2; AMD APM volume 3).
    static let bitManipulation: [InstructionEntry] = [
        vex(0xF2, .none, BitManipulation.andn),
        vex(0xF3, .none, group: 1, to: .vexRegister, BitManipulation.blsr),
        vex(0xF3, .none, group: 2, to: .vexRegister, BitManipulation.blsmsk),
        vex(0xF3, .none, group: 3, to: .vexRegister, BitManipulation.blsi),
        vex(0xF5, .none, BitManipulation.bzhi),
        vex(0xF5, .pF3, BitManipulation.pext),
        vex(0xF5, .pF2, BitManipulation.pdep),
        InstructionEntry(.map0F38, 0xF6, .pF2, encoding: .vex, .multiplyWithoutFlags),  // mulx
        vex(0xF7, .none, BitManipulation.bextr),
        vex(0xF7, .p66, BitManipulation.shlx),
        vex(0xF7, .pF3, BitManipulation.sarx),
        vex(0xF7, .pF2, BitManipulation.shrx),
        InstructionEntry(
            .map0F3A,
            0xF0,
            .pF2,
            encoding: .vexWithoutRegister,
            .integer(IntegerOperation(function: BitManipulation.rorx))
        ),
    ]

    private static func vex(
        _ opcode: UInt8,
        _ prefix: MandatoryPrefix,
        group: UInt8? = nil,
        to destination: IntegerOperation.Destination = .register,
        _ function: @escaping @Sendable (inout IntegerOperands) -> UInt64
    ) -> InstructionEntry {
        let operation = IntegerOperation(destination: destination, function: function)
        return InstructionEntry(.map0F38, opcode, prefix, encoding: .vex, group: group, .integer(operation))
    }
}
