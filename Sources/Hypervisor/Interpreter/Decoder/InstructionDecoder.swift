// SPDX-License-Identifier: Apache-2.0

/// Takes an instruction's encoding apart.
///
/// Intel SDM volume 2, chapter 2 "Instruction Format". The decoder knows the length of every instruction of the legacy
/// and VEX encodings, whether or not the emulator can execute it.
package struct InstructionDecoder {
    /// The longest instruction (Intel SDM volume 2, 2.3.11).
    package static let maximumLength = 15

    private let bytes: [15 of UInt8]
    private let count: Int
    private let isLimited: Bool
    private var position = 0
    private var rexOrVEX = Extension()
    var instruction: Instruction

    /// The bits that REX and VEX add to register numbers.
    private struct Extension {
        var reg: UInt8 = 0
        var index: UInt8 = 0
        var base: UInt8 = 0
    }

    private init(_ code: Span<UInt8>, codeSize: CodeSize) {
        isLimited = code.count >= Self.maximumLength
        count = min(code.count, Self.maximumLength)
        var bytes = [15 of UInt8](repeating: 0)
        for index in 0..<count { bytes[index] = code[index] }
        self.bytes = bytes
        instruction = Instruction(codeSize: codeSize)
    }

    /// Decodes the instruction at the start of some bytes.
    package static func decode(
        _ code: Span<UInt8>,
        codeSize: CodeSize
    ) throws(DecodeError) -> Instruction {
        var decoder = InstructionDecoder(code, codeSize: codeSize)
        try decoder.decodePrefixesAndOpcode()
        guard
            let format = OpcodeFormat.format(
                of: decoder.instruction.opcode,
                in: decoder.instruction.map,
                codeSize: codeSize
            )
        else { throw .invalidOpcode }
        if format.hasModRM { try decoder.decodeModRM() }
        try decoder.decodeImmediate(format.immediate)
        decoder.instruction.length = decoder.position
        return decoder.instruction
    }

    // MARK: - Bytes

    private mutating func next() throws(DecodeError) -> UInt8 {
        guard position < count else { throw isLimited ? .tooLong : .truncated }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func next(byteCount: Int) throws(DecodeError) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<byteCount { value |= UInt64(try next()) << UInt64(8 * index) }
        return value
    }

    private mutating func nextSigned(_ width: OperandWidth) throws(DecodeError) -> Int64 {
        let value = try next(byteCount: width.byteCount)
        return Int64(bitPattern: (value ^ width.signBit) &- width.signBit)
    }

    // MARK: - Prefixes and opcode

    private mutating func decodePrefixesAndOpcode() throws(DecodeError) {
        var byte = try next()
        while takeLegacyPrefix(byte) { byte = try next() }
        instruction.mandatoryPrefix =
            if instruction.prefixes.contains(.repeatEqual) {
                .pF3
            } else if instruction.prefixes.contains(.repeatNotEqual) {
                .pF2
            } else if instruction.prefixes.contains(.operandSize) {
                .p66
            } else {
                .none
            }
        if instruction.codeSize == .bits64 && byte & 0xF0 == 0x40 {
            takeREX(byte)
            byte = try next()
            // A prefix after REX takes REX's effect away; no compiler emits that (Intel SDM volume 2, 2.2.1).
            let isAnotherPrefix = byte & 0xF0 == 0x40 || isLegacyPrefix(byte)
            guard !isAnotherPrefix else { throw .unsupportedEncoding }
        }
        switch byte {
        case 0xC4 where try isVEX(): try decodeVEX(byteCount: 3)
        case 0xC5 where try isVEX(): try decodeVEX(byteCount: 2)
        case 0x62 where try isVEX(): throw .unsupportedEncoding  // EVEX
        case 0x8F where try peek() & 0x1F >= 8: throw .unsupportedEncoding  // XOP
        case 0x0F: try decodeEscape()
        default: instruction.opcode = byte
        }
    }

    private func isLegacyPrefix(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x26, 0x2E, 0x36, 0x3E, 0x64...0x67, 0xF0, 0xF2, 0xF3: true
        default: false
        }
    }

    private mutating func takeLegacyPrefix(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x26: takeSegment(.es)
        case 0x2E: takeSegment(.cs)
        case 0x36: takeSegment(.ss)
        case 0x3E: takeSegment(.ds)
        case 0x64: takeSegment(.fs)
        case 0x65: takeSegment(.gs)
        case 0x66: instruction.prefixes.insert(.operandSize)
        case 0x67: instruction.prefixes.insert(.addressSize)
        case 0xF0: instruction.prefixes.insert(.lock)
        case 0xF2:
            instruction.prefixes.insert(.repeatNotEqual)
            instruction.prefixes.remove(.repeatEqual)
        case 0xF3:
            instruction.prefixes.insert(.repeatEqual)
            instruction.prefixes.remove(.repeatNotEqual)
        default: return false
        }
        return true
    }

    /// Notes a segment override; in 64-bit code those for ES, CS, SS and DS are ignored.
    private mutating func takeSegment(_ segment: SegmentRegister) {
        if instruction.codeSize == .bits64 && segment != .fs && segment != .gs { return }
        instruction.segmentOverride = segment
    }

    private mutating func takeREX(_ byte: UInt8) {
        instruction.prefixes.insert(.rex)
        instruction.isWide = byte & 8 != 0
        rexOrVEX = Extension(reg: (byte & 4) << 1, index: (byte & 2) << 2, base: (byte & 1) << 3)
    }

    private mutating func decodeEscape() throws(DecodeError) {
        let byte = try next()
        switch byte {
        case 0x38:
            instruction.map = .map0F38
            instruction.opcode = try next()
        case 0x3A:
            instruction.map = .map0F3A
            instruction.opcode = try next()
        case 0x0F: throw .unsupportedEncoding  // 3DNow!
        default:
            instruction.map = .map0F
            instruction.opcode = byte
        }
    }

    private func peek() throws(DecodeError) -> UInt8 {
        guard position < count else { throw isLimited ? .tooLong : .truncated }
        return bytes[position]
    }

    /// Returns whether the byte before is a VEX or EVEX prefix: outside 64-bit code it may be `les`, `lds` or `bound`.
    private func isVEX() throws(DecodeError) -> Bool {
        if instruction.codeSize == .bits64 { return true }
        return try peek() >= 0xC0
    }

    /// Decodes the rest of a VEX prefix and the opcode (Intel SDM volume 2, 2.3.5 "The VEX Prefix").
    private mutating func decodeVEX(byteCount: Int) throws(DecodeError) {
        guard instruction.prefixes.isDisjoint(with: [.operandSize, .lock, .repeatEqual, .repeatNotEqual, .rex])
        else { throw .invalidOpcode }
        instruction.prefixes.insert(.vex)
        var last = try next()
        rexOrVEX.reg = (~last & 0x80) >> 4
        instruction.map = .map0F
        if byteCount == 3 {
            rexOrVEX.index = (~last & 0x40) >> 3
            rexOrVEX.base = (~last & 0x20) >> 2
            instruction.map =
                switch last & 0x1F {
                case 1: .map0F
                case 2: .map0F38
                case 3: .map0F3A
                default: throw .unsupportedEncoding
                }
            last = try next()
            instruction.isWide = last & 0x80 != 0
        }
        instruction.vexRegister = (~last & 0x78) >> 3
        if instruction.codeSize != .bits64 {
            instruction.vexRegister &= 7
            rexOrVEX = Extension()
        }
        instruction.isVector256 = last & 4 != 0
        instruction.mandatoryPrefix =
            switch last & 3 {
            case 0: .none
            case 1: .p66
            case 2: .pF3
            default: .pF2
            }
        instruction.opcode = try next()
    }

    // MARK: - ModRM and immediate

    private mutating func decodeModRM() throws(DecodeError) {
        let byte = try next()
        let mod = byte >> 6
        let rm = byte & 7
        instruction.modRM = ModRM(mod: mod, reg: (byte >> 3) & 7 | rexOrVEX.reg, rm: rm | rexOrVEX.base)
        // The ModRM of moves to and from control and debug registers always names a register.
        let isRegisterOnly = instruction.map == .map0F && 0x20...0x23 ~= instruction.opcode
        guard mod != 3 && !isRegisterOnly else {
            instruction.modRM?.mod = 3
            return
        }
        var operand = MemoryOperand(addressWidth: instruction.addressWidth)
        if operand.addressWidth == .word {
            try decodeAddress16(mod: mod, rm: rm, into: &operand)
        } else {
            try decodeAddress(mod: mod, rm: rm, into: &operand)
        }
        if let segment = instruction.segmentOverride {
            operand.segment = segment
        } else if operand.base == .rsp || operand.base == .rbp {
            operand.segment = .ss
        }
        instruction.memory = operand
    }

    /// Decodes a 16-bit address (Intel SDM volume 2, table 2-1).
    private mutating func decodeAddress16(
        mod: UInt8,
        rm: UInt8,
        into operand: inout MemoryOperand
    ) throws(DecodeError) {
        switch rm {
        case 0: (operand.base, operand.index) = (.rbx, .rsi)
        case 1: (operand.base, operand.index) = (.rbx, .rdi)
        case 2: (operand.base, operand.index) = (.rbp, .rsi)
        case 3: (operand.base, operand.index) = (.rbp, .rdi)
        case 4: operand.base = .rsi
        case 5: operand.base = .rdi
        case 6 where mod == 0: operand.displacement = try nextSigned(.word)
        case 6: operand.base = .rbp
        default: operand.base = .rbx
        }
        if mod == 1 { operand.displacement = try nextSigned(.byte) }
        if mod == 2 { operand.displacement = try nextSigned(.word) }
    }

    /// Decodes a 32-bit or 64-bit address (Intel SDM volume 2, tables 2-2 and 2-3, and 2.2.1.6 "RIP-Relative").
    private mutating func decodeAddress(
        mod: UInt8,
        rm: UInt8,
        into operand: inout MemoryOperand
    ) throws(DecodeError) {
        var hasNoBase = mod == 0 && rm == 5
        operand.isRIPRelative = hasNoBase && instruction.codeSize == .bits64
        var base = rm
        if rm == 4 {
            let sib = try next()
            let index = (sib >> 3) & 7 | rexOrVEX.index
            if index != 4 {
                operand.index = GeneralRegister(encoding: index)
                operand.scale = sib >> 6
            }
            base = sib & 7
            hasNoBase = mod == 0 && base == 5
        }
        if !hasNoBase { operand.base = GeneralRegister(encoding: base | rexOrVEX.base) }
        if mod == 1 { operand.displacement = try nextSigned(.byte) }
        if mod == 2 || hasNoBase { operand.displacement = try nextSigned(.doubleword) }
    }

    private mutating func decodeImmediate(_ kind: OpcodeFormat.Immediate) throws(DecodeError) {
        let width = instruction.operandWidth
        let isInTestGroup = (instruction.modRM?.group ?? 0) < 2
        let byteCount =
            switch kind {
            case .none: 0
            case .byte: 1
            case .word: 2
            case .wordAndByte: 3
            case .operandUpTo4: nearBranchWidth ?? min(width.byteCount, 4)
            case .operand: width.byteCount
            case .address: instruction.addressWidth.byteCount
            case .farPointer: 2 + width.byteCount
            case .byteInTestGroup: isInTestGroup ? 1 : 0
            case .operandInTestGroup: isInTestGroup ? min(width.byteCount, 4) : 0
            }
        instruction.immediate = try next(byteCount: byteCount)
    }

    /// The size of a near branch's displacement where `66` does not change it.
    ///
    /// In 64-bit code Intel ignores `66` for near branches; AMD does not. Nothing here executes branches.
    private var nearBranchWidth: Int? {
        guard instruction.codeSize == .bits64 else { return nil }
        let isBranch =
            switch (instruction.map, instruction.opcode) {
            case (.primary, 0xE8), (.primary, 0xE9), (.map0F, 0x80...0x8F): true
            default: false
            }
        return isBranch ? 4 : nil
    }
}
