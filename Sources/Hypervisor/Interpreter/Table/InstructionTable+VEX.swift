// SPDX-License-Identifier: Apache-2.0

extension InstructionTable {
    // MARK: - Twins of SSE instructions

    /// The VEX encodings of the SSE rows: `vvvv` is the first operand, the upper half of YMM is computed as the lower
    /// one or zeroed, and memory need not be aligned (Intel SDM volume 1, 14.9 "Memory Alignment").
    static let vexTwins: [InstructionEntry] =
        (vectorMoves + vectorIntegers + vectorShuffles + cryptography).compactMap(vexTwin)

    private static func vexTwin(of entry: InstructionEntry) -> InstructionEntry? {
        switch (entry.map, entry.opcode) {
        // pblendvb has an encoding of its own, sha has none, and the widening moves cross lanes.
        case (.map0F38, 0x10), (.map0F38, 0xC8...0xCD), (.map0F3A, 0xCC), (.map0F38, 0x20...0x25),
            (.map0F38, 0x30...0x35):
            return nil
        default: break
        }
        var form = entry.form
        if case .vectorStore(_, let memory) = entry.operation, memory != .aligned, memory != .unaligned,
            case .any = form
        {
            // The merging stores of scalars differ by form; `movq` stores alike.
            guard entry.opcode == 0xD6 else { return nil }
            form = .any
        }
        return InstructionEntry(
            entry.map,
            entry.opcode,
            entry.prefix,
            encoding: hasFirstOperand(entry) ? .vex : .vexWithoutRegister,
            group: entry.group,
            form: form,
            vectorLength: hasUpperHalf(entry) ? .any : .only128,
            entry.operation.withoutAlignment(unless: isAlignedMove(entry))
        )
    }

    private static func hasFirstOperand(_ entry: InstructionEntry) -> Bool {
        switch entry.operation {
        case .vectorStore, .vectorExtract, .vectorMask, .vectorTest: return false
        case .vectorInsert: return entry.opcode != 0x6E
        case .vector(_, let memory) where memory != .aligned && memory != .unaligned:
            // Moves into half a register merge with the other half of `vvvv`; the others are plain loads.
            switch (entry.map, entry.opcode, entry.prefix) {
            case (.map0F, 0x10, _), (.map0F, 0x7E, _), (.map0F, 0x12, .pF2): return false
            default: return true
            }
        default: break
        }
        switch (entry.map, entry.opcode) {
        case (.map0F, 0x10) where entry.prefix == .pF3 || entry.prefix == .pF2: return true
        case (.map0F, 0x10), (.map0F, 0x28), (.map0F, 0x6F), (.map0F, 0xF0), (.map0F, 0x70), (.map0F38, 0x2A),
            (.map0F38, 0x1C...0x1E), (.map0F38, 0xDB), (.map0F3A, 0xDF):
            return false
        default: return true
        }
    }

    private static func hasUpperHalf(_ entry: InstructionEntry) -> Bool {
        switch entry.operation {
        case .vector(_, let memory), .vectorStore(_, let memory):
            guard memory == .aligned || memory == .unaligned else { return false }
        case .vectorMask: return entry.opcode != 0xC5
        case .vectorInsert, .vectorExtract: return false
        default: break
        }
        switch (entry.map, entry.opcode, entry.prefix) {
        // Scalars, the halves of registers, the AES key schedule; shufpd takes other bits for its upper half.
        case (.map0F, 0x10...0x13, .pF3), (.map0F, 0x10...0x13, .pF2), (.map0F, 0x12...0x13, _),
            (.map0F, 0x16...0x17, _),
            (.map0F, 0xC6, .p66), (.map0F38, 0xDB, _), (.map0F3A, 0xDF, _):
            return false
        default: return true
        }
    }

    private static func isAlignedMove(_ entry: InstructionEntry) -> Bool {
        switch (entry.map, entry.opcode, entry.prefix) {
        case (.map0F, 0x28...0x29, _), (.map0F, 0x2B, _), (.map0F, 0x6F, .p66), (.map0F, 0x7F, .p66), (.map0F, 0xE7, _),
            (.map0F38, 0x2A, _):
            true
        default: false
        }
    }

    // MARK: - Instructions without an SSE twin

    /// Scalar stores, permutations, broadcasts, insertions and extractions of 128 bits, shifts by vectors (Intel SDM volume 2).
    static let vexOnly: [InstructionEntry] =
        [
            // vmovss, vmovsd
            InstructionEntry(
                .map0F,
                0x11,
                .pF3,
                encoding: .vex,
                form: .register,
                .vectorStore(Shuffles.mergeLowDoubleword, .unaligned)
            ),
            InstructionEntry(
                .map0F,
                0x11,
                .pF3,
                encoding: .vexWithoutRegister,
                form: .memory,
                .vectorStore(Shuffles.copy, .doubleword)
            ),
            InstructionEntry(
                .map0F,
                0x11,
                .pF2,
                encoding: .vex,
                form: .register,
                .vectorStore(Shuffles.mergeLow, .unaligned)
            ),
            InstructionEntry(
                .map0F,
                0x11,
                .pF2,
                encoding: .vexWithoutRegister,
                form: .memory,
                .vectorStore(Shuffles.copy, .quadword)
            ),
            // vzeroupper, vzeroall
            InstructionEntry(.map0F, 0x77, .none, encoding: .vexWithoutRegister, .zeroVectors(isUpperOnly: true)),
            InstructionEntry(
                .map0F,
                0x77,
                .none,
                encoding: .vexWithoutRegister,
                vectorLength: .only256,
                .zeroVectors(isUpperOnly: false)
            ),
            // vpermd, vpermq, vpermpd, vperm2f128, vperm2i128
            wide(.map0F38, 0x36, encoding: .vex, .only256, isWide: false, Permutations.doublewords),
            wide(.map0F3A, 0x00, .only256, isWide: true, Permutations.quadwords),
            wide(.map0F3A, 0x01, .only256, isWide: true, Permutations.quadwords),
            wide(.map0F3A, 0x06, encoding: .vex, .only256, isWide: false, Permutations.halves),
            wide(.map0F3A, 0x46, encoding: .vex, .only256, isWide: false, Permutations.halves),
            // vpblendd, vpblendvb
            wide(.map0F3A, 0x02, encoding: .vex, .any, isWide: false, Permutations.blendDoublewords),
            wide(.map0F3A, 0x4C, encoding: .vex, .any, isWide: false, Permutations.blendBytes),
            // vinsertf128, vinserti128, vextractf128, vextracti128
            wide(.map0F3A, 0x18, encoding: .vex, .only256, isWide: false, from: .xmm, Permutations.insertHalf),
            wide(.map0F3A, 0x38, encoding: .vex, .only256, isWide: false, from: .xmm, Permutations.insertHalf),
            extraction(0x19),
            extraction(0x39),
            // vbroadcastss, vbroadcastsd, vbroadcastf128, vpbroadcastb and its like, vbroadcasti128
            broadcast(0x18, .bytes(4), .any),
            broadcast(0x19, .bytes(8), .only256),
            broadcast(0x1A, .xmm, .only256, form: .memory),
            broadcast(0x78, .bytes(1), .any),
            broadcast(0x79, .bytes(2), .any),
            broadcast(0x58, .bytes(4), .any),
            broadcast(0x59, .bytes(8), .any),
            broadcast(0x5A, .xmm, .only256, form: .memory),
        ] + widenings + variableShifts

    private static func wide(
        _ map: OpcodeMap,
        _ opcode: UInt8,
        encoding: InstructionEntry.Encoding = .vexWithoutRegister,
        _ length: InstructionEntry.VectorLength,
        isWide: Bool,
        form: InstructionEntry.Form = .any,
        from source: WideSource = .full,
        _ function: @escaping WideFunction
    ) -> InstructionEntry {
        InstructionEntry(
            map,
            opcode,
            .p66,
            encoding: encoding,
            form: form,
            vectorLength: length,
            isWide: isWide,
            .wideVector(function, source)
        )
    }

    private static func extraction(_ opcode: UInt8) -> InstructionEntry {
        InstructionEntry(
            .map0F3A,
            opcode,
            .p66,
            encoding: .vexWithoutRegister,
            vectorLength: .only256,
            isWide: false,
            .extractHalf
        )
    }

    private static func broadcast(
        _ opcode: UInt8,
        _ source: WideSource,
        _ length: InstructionEntry.VectorLength,
        form: InstructionEntry.Form = .any
    ) -> InstructionEntry {
        wide(
            .map0F38,
            opcode,
            length,
            isWide: false,
            form: form,
            from: source,
            Permutations.broadcast(source.byteCount)
        )
    }

    /// vpmovsx and vpmovzx: each half of the result comes from the next elements of the source's lower half.
    private static let widenings: [InstructionEntry] = vectorShuffles.compactMap { entry in
        guard entry.map == .map0F38, case .vector(let function, let memory) = entry.operation else { return nil }
        let byteCount =
            switch (entry.opcode, memory) {
            case (0x20...0x25, .quadword), (0x30...0x35, .quadword): 8
            case (0x20...0x25, .doubleword), (0x30...0x35, .doubleword): 4
            case (0x20...0x25, .word), (0x30...0x35, .word): 2
            default: 0
            }
        guard byteCount > 0 else { return nil }
        return InstructionEntry(
            .map0F38,
            entry.opcode,
            .p66,
            encoding: .vexWithoutRegister,
            vectorLength: .any,
            .wideVector(Permutations.widen(function, by: byteCount), .elements(byteCount))
        )
    }

    private static let variableShifts: [InstructionEntry] = [
        shift(0x45, isWide: false, Lanes.doublewords { $1 > 31 ? 0 : $0 >> $1 }),  // vpsrlvd
        shift(0x45, isWide: true, Lanes.quadwords { $1 > 63 ? 0 : $0 >> $1 }),  // vpsrlvq
        // vpsravd
        shift(0x46, isWide: false, Lanes.signedDoublewords { $0 >> Int32(min(UInt32(bitPattern: $1), 31)) }),
        shift(0x47, isWide: false, Lanes.doublewords { $1 > 31 ? 0 : $0 << $1 }),  // vpsllvd
        shift(0x47, isWide: true, Lanes.quadwords { $1 > 63 ? 0 : $0 << $1 }),  // vpsllvq
    ]

    private static func shift(_ opcode: UInt8, isWide: Bool, _ function: @escaping VectorFunction) -> InstructionEntry {
        InstructionEntry(
            .map0F38,
            opcode,
            .p66,
            encoding: .vex,
            vectorLength: .any,
            isWide: isWide,
            .vector(function, .unaligned)
        )
    }
}

extension Operation {
    /// The same operation with its memory operand anywhere.
    fileprivate func withoutAlignment(unless isAlignedMove: Bool) -> Operation {
        switch self {
        case .vector(let function, .aligned) where !isAlignedMove: .vector(function, .unaligned)
        default: self
        }
    }
}
