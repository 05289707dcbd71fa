// SPDX-License-Identifier: Apache-2.0

extension InstructionTable {
    /// Packed integer arithmetic, logic, comparisons and shifts (Intel SDM volume 2).
    static let vectorIntegers: [InstructionEntry] =
        additions + products + extremes + comparisons + logic + shifts + horizontals

    private static func row(_ opcode: UInt8, _ function: @escaping VectorFunction) -> InstructionEntry {
        InstructionEntry(.map0F, opcode, .p66, .vector(function))
    }

    private static func row38(_ opcode: UInt8, _ function: @escaping VectorFunction) -> InstructionEntry {
        InstructionEntry(.map0F38, opcode, .p66, .vector(function))
    }

    private static let additions: [InstructionEntry] = [
        row(0xFC, Lanes.bytes { $0 &+ $1 }),  // paddb
        row(0xFD, Lanes.words { $0 &+ $1 }),  // paddw
        row(0xFE, Lanes.doublewords { $0 &+ $1 }),  // paddd
        row(0xD4, Lanes.quadwords { $0 &+ $1 }),  // paddq
        row(0xF8, Lanes.bytes { $0 &- $1 }),  // psubb
        row(0xF9, Lanes.words { $0 &- $1 }),  // psubw
        row(0xFA, Lanes.doublewords { $0 &- $1 }),  // psubd
        row(0xFB, Lanes.quadwords { $0 &- $1 }),  // psubq
        row(0xEC, Lanes.signedBytes { Int8(saturating: Int($0) + Int($1)) }),  // paddsb
        row(0xED, Lanes.signedWords { Int16(saturating: Int($0) + Int($1)) }),  // paddsw
        row(0xDC, Lanes.bytes { UInt8(saturating: Int($0) + Int($1)) }),  // paddusb
        row(0xDD, Lanes.words { UInt16(saturating: Int($0) + Int($1)) }),  // paddusw
        row(0xE8, Lanes.signedBytes { Int8(saturating: Int($0) - Int($1)) }),  // psubsb
        row(0xE9, Lanes.signedWords { Int16(saturating: Int($0) - Int($1)) }),  // psubsw
        row(0xD8, Lanes.bytes { UInt8(saturating: Int($0) - Int($1)) }),  // psubusb
        row(0xD9, Lanes.words { UInt16(saturating: Int($0) - Int($1)) }),  // psubusw
        row(0xE0, Lanes.bytes { UInt8((Int($0) + Int($1) + 1) >> 1) }),  // pavgb
        row(0xE3, Lanes.words { UInt16((Int($0) + Int($1) + 1) >> 1) }),  // pavgw
        row38(0x1C, Lanes.signedBytes { _, lane in Int8(bitPattern: lane.magnitude) }),  // pabsb
        row38(0x1D, Lanes.signedWords { _, lane in Int16(bitPattern: lane.magnitude) }),  // pabsw
        row38(0x1E, Lanes.signedDoublewords { _, lane in Int32(bitPattern: lane.magnitude) }),  // pabsd
        row38(0x08, Lanes.signedBytes { $1 == 0 ? 0 : $1 < 0 ? 0 &- $0 : $0 }),  // psignb
        row38(0x09, Lanes.signedWords { $1 == 0 ? 0 : $1 < 0 ? 0 &- $0 : $0 }),  // psignw
        row38(0x0A, Lanes.signedDoublewords { $1 == 0 ? 0 : $1 < 0 ? 0 &- $0 : $0 }),  // psignd
    ]

    private static let products: [InstructionEntry] = [
        row(0xD5, Lanes.words { $0 &* $1 }),  // pmullw
        row(0xE4, Lanes.words { UInt16((UInt32($0) * UInt32($1)) >> 16) }),  // pmulhuw
        row(0xE5, Lanes.signedWords { Int16((Int32($0) * Int32($1)) >> 16) }),  // pmulhw
        row(0xF4, VectorArithmetic.pmuludq),
        row(0xF5, VectorArithmetic.pmaddwd),
        row(0xF6, VectorArithmetic.psadbw),
        row38(0x04, VectorArithmetic.pmaddubsw),
        row38(
            0x0B,
            Lanes.signedWords { Int16(truncatingIfNeeded: (((Int32($0) * Int32($1)) >> 14) + 1) >> 1) }  // pmulhrsw
        ),
        row38(0x28, VectorArithmetic.pmuldq),
        row38(0x40, Lanes.doublewords { $0 &* $1 }),  // pmulld
    ]

    private static let extremes: [InstructionEntry] = [
        row(0xDA, Lanes.bytes { min($0, $1) }),  // pminub
        row(0xDE, Lanes.bytes { max($0, $1) }),  // pmaxub
        row(0xEA, Lanes.signedWords { min($0, $1) }),  // pminsw
        row(0xEE, Lanes.signedWords { max($0, $1) }),  // pmaxsw
        row38(0x38, Lanes.signedBytes { min($0, $1) }),  // pminsb
        row38(0x39, Lanes.signedDoublewords { min($0, $1) }),  // pminsd
        row38(0x3A, Lanes.words { min($0, $1) }),  // pminuw
        row38(0x3B, Lanes.doublewords { min($0, $1) }),  // pminud
        row38(0x3C, Lanes.signedBytes { max($0, $1) }),  // pmaxsb
        row38(0x3D, Lanes.signedDoublewords { max($0, $1) }),  // pmaxsd
        row38(0x3E, Lanes.words { max($0, $1) }),  // pmaxuw
        row38(0x3F, Lanes.doublewords { max($0, $1) }),  // pmaxud
    ]

    private static let comparisons: [InstructionEntry] = [
        row(0x74, Lanes.bytes { $0 == $1 ? .max : 0 }),  // pcmpeqb
        row(0x75, Lanes.words { $0 == $1 ? .max : 0 }),  // pcmpeqw
        row(0x76, Lanes.doublewords { $0 == $1 ? .max : 0 }),  // pcmpeqd
        row38(0x29, Lanes.quadwords { $0 == $1 ? .max : 0 }),  // pcmpeqq
        row(0x64, Lanes.signedBytes { $0 > $1 ? -1 : 0 }),  // pcmpgtb
        row(0x65, Lanes.signedWords { $0 > $1 ? -1 : 0 }),  // pcmpgtw
        row(0x66, Lanes.signedDoublewords { $0 > $1 ? -1 : 0 }),  // pcmpgtd
        row38(0x37, Lanes.signedQuadwords { $0 > $1 ? -1 : 0 }),  // pcmpgtq
        InstructionEntry(.map0F38, 0x17, .p66, .vectorTest),  // ptest
    ]

    /// The logical instructions, each with its twins for floating-point vectors: `pand`, `andps`, `andpd`.
    private static let logic: [InstructionEntry] =
        logicRows(integer: 0xDB, floatingPoint: 0x54, Lanes.quadwords { $0 & $1 })
        + logicRows(integer: 0xDF, floatingPoint: 0x55, Lanes.quadwords { ~$0 & $1 })
        + logicRows(integer: 0xEB, floatingPoint: 0x56, Lanes.quadwords { $0 | $1 })
        + logicRows(integer: 0xEF, floatingPoint: 0x57, Lanes.quadwords { $0 ^ $1 })

    private static func logicRows(
        integer: UInt8,
        floatingPoint: UInt8,
        _ function: @escaping VectorFunction
    ) -> [InstructionEntry] {
        [row(integer, function), InstructionEntry(.map0F, floatingPoint, [.none, .p66], .vector(function))]
    }

    /// The shifts, each by an XMM register or memory and by an immediate.
    private static let shifts: [InstructionEntry] =
        shiftRows(0xD1, immediate: 0x71, group: 2) { VectorShifts.words($0) { $0 >> $1 } }  // psrlw
        + shiftRows(0xE1, immediate: 0x71, group: 4) { VectorShifts.words($0, VectorShifts.arithmetic) }  // psraw
        + shiftRows(0xF1, immediate: 0x71, group: 6) { VectorShifts.words($0) { $0 << $1 } }  // psllw
        + shiftRows(0xD2, immediate: 0x72, group: 2) { VectorShifts.doublewords($0) { $0 >> $1 } }  // psrld
        + shiftRows(0xE2, immediate: 0x72, group: 4) { VectorShifts.doublewords($0, VectorShifts.arithmetic) }  // psrad
        + shiftRows(0xF2, immediate: 0x72, group: 6) { VectorShifts.doublewords($0) { $0 << $1 } }  // pslld
        + shiftRows(0xD3, immediate: 0x73, group: 2) { VectorShifts.quadwords($0) { $0 >> $1 } }  // psrlq
        + shiftRows(0xF3, immediate: 0x73, group: 6) { VectorShifts.quadwords($0) { $0 << $1 } }  // psllq
        + [
            InstructionEntry(.map0F, 0x73, .p66, group: 3, form: .register, .vectorShift(VectorShifts.bytesRight)),
            InstructionEntry(.map0F, 0x73, .p66, group: 7, form: .register, .vectorShift(VectorShifts.bytesLeft)),
        ]

    private static func shiftRows(
        _ opcode: UInt8,
        immediate: UInt8,
        group: UInt8,
        _ function: (@escaping VectorShifts.Count) -> VectorFunction
    ) -> [InstructionEntry] {
        let byImmediate = Operation.vectorShift(function(VectorShifts.byImmediate))
        return [
            row(opcode, function(VectorShifts.bySource)),
            InstructionEntry(.map0F, immediate, .p66, group: group, form: .register, byImmediate),
        ]
    }

    private static let horizontals: [InstructionEntry] = [
        row38(0x01, VectorArithmetic.phaddw),
        row38(0x02, VectorArithmetic.phaddd),
        row38(0x03, VectorArithmetic.phaddsw),
        row38(0x05, VectorArithmetic.phsubw),
        row38(0x06, VectorArithmetic.phsubd),
        row38(0x07, VectorArithmetic.phsubsw),
    ]
}
