// SPDX-License-Identifier: Apache-2.0

extension Executor {
    /// The state component that holds the upper halves of YMM0 to YMM15 (Intel SDM volume 1, 13.5.3).
    private static let upperHalves = 2

    /// Indicates whether the instruction has a VEX prefix, which clears the upper part of the destination.
    var isVEX: Bool { instruction.prefixes.contains(.vex) }

    private var vectorByteCount: Int { instruction.isVector256 ? 32 : 16 }

    /// Checks that AVX instructions are valid now (Intel SDM volume 2, 2.4 "AVX and SSE Instruction Exception Classification").
    private mutating func requireAVX(on context: inout some CPUContext) throws(ExecutionFailure) {
        guard context.cr4.contains(.osXSAVE), context.cr0.contains(.protectionEnable) else { throw .invalidOpcode }
        guard let state = extendedState(of: &context) else { throw .unsupported(.noExtendedState) }
        guard state.xcr0 & 0b110 == 0b110 else { throw .invalidOpcode }
        guard !context.cr0.contains(.taskSwitched) else { throw .deviceNotAvailable }
    }

    // MARK: - Registers and memory

    private mutating func read(_ register: UInt8, on context: inout some CPUContext) -> Vector256 {
        guard let state = extendedState(of: &context) else { return Vector256() }
        var vector = Vector256()
        if state.inUse & 1 << 1 != 0 {
            vector.lower = Vector128(unsafe state.area.span.bytes.integer(at: 160 + 16 * Int(register)))
        }
        if state.inUse & 1 << Self.upperHalves != 0, let offset = state.offset(of: Self.upperHalves) {
            vector.upper = Vector128(unsafe state.area.span.bytes.integer(at: offset + 16 * Int(register)))
        }
        return vector
    }

    /// Sets a register; a 128-bit result clears the upper half.
    private mutating func write(_ value: Vector256, to register: UInt8, on context: inout some CPUContext) {
        var value = value
        if !instruction.isVector256 { value.upper = Vector128() }
        changeExtendedState(of: &context) { state in
            state.use(1)
            state.use(Self.upperHalves)
            state.area.storeInteger(value.lower.integer, at: 160 + 16 * Int(register))
            guard let offset = state.offset(of: Self.upperHalves) else { return }
            state.area.storeInteger(value.upper.integer, at: offset + 16 * Int(register))
        }
    }

    /// Reads the operand `rm`.
    private mutating func readSource(
        byteCount: Int,
        isAligned: Bool = false,
        from context: inout some CPUContext
    ) throws(ExecutionFailure) -> Vector256 {
        if modRM.isRegister {
            var vector = read(modRM.rm, on: &context)
            if byteCount <= 16 { vector.upper = Vector128() }
            return vector
        }
        let alignment = isAligned ? UInt64(byteCount) : 1
        let address = try linearAddress(byteCount: byteCount, alignment: alignment, on: context)
        switch byteCount {
        case 1: return Vector256(lower: Vector128(low: try load(.byte, at: address, from: &context)))
        case 2: return Vector256(lower: Vector128(low: try load(.word, at: address, from: &context)))
        case 4: return Vector256(lower: Vector128(low: try load(.doubleword, at: address, from: &context)))
        case 8: return Vector256(lower: Vector128(low: try load(.quadword, at: address, from: &context)))
        default: break
        }
        var vector = Vector256(lower: Vector128(try load(UInt128.self, at: address, from: &context)))
        if byteCount > 16 { vector.upper = Vector128(try load(UInt128.self, at: address &+ 16, from: &context)) }
        return vector
    }

    private func byteCount(of memory: VectorMemory) -> Int {
        switch memory {
        case .aligned, .unaligned: vectorByteCount
        case .quadword: 8
        case .doubleword: 4
        case .word: 2
        }
    }

    /// Indicates whether the count of a shift is the lower half of its operand, whatever the vector's length.
    private var isShiftByVector: Bool {
        guard instruction.map == .map0F else { return false }
        return switch instruction.opcode {
        case 0xD1...0xD3, 0xE1...0xE2, 0xF1...0xF3: true
        default: false
        }
    }

    // MARK: - Families

    mutating func performVEX(
        _ function: VectorFunction,
        _ memory: VectorMemory,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        try requireAVX(on: &context)
        let byteCount = isShiftByVector ? 16 : byteCount(of: memory)
        var source = try readSource(byteCount: byteCount, isAligned: memory == .aligned, from: &context)
        if isShiftByVector { source.upper = source.lower }
        let first = read(instruction.vexRegister, on: &context)
        write(combine(function, first, source), to: modRM.reg, on: &context)
    }

    mutating func performVEXShift(_ function: VectorFunction, on context: inout some CPUContext)
        throws(ExecutionFailure)
    {
        try requireAVX(on: &context)
        let source = read(modRM.rm, on: &context)
        write(combine(function, source, Vector256()), to: instruction.vexRegister, on: &context)
    }

    mutating func performVEXStore(
        _ function: VectorFunction,
        _ memory: VectorMemory,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        try requireAVX(on: &context)
        let source = read(modRM.reg, on: &context)
        let result = combine(function, read(instruction.vexRegister, on: &context), source)
        guard !modRM.isRegister else { return write(result, to: modRM.rm, on: &context) }
        try store(result, byteCount: byteCount(of: memory), isAligned: memory == .aligned, to: &context)
    }

    private mutating func store(
        _ vector: Vector256,
        byteCount: Int,
        isAligned: Bool,
        to context: inout some CPUContext
    ) throws(ExecutionFailure) {
        let alignment = isAligned ? UInt64(byteCount) : 1
        let address = try linearAddress(byteCount: byteCount, alignment: alignment, on: context)
        let words: [4 of UInt64] = [vector.lower.low, vector.lower.high, vector.upper.low, vector.upper.high]
        // One write: where a second page faults, the first keeps what it has.
        let bytes = unsafe words.span.bytes  // integers of a little-endian host
        try write(bytes.extracting(first: byteCount), at: address, to: &context)
    }

    mutating func performVEXInsert(
        _ function: VectorFunction,
        _ value: UInt64,
        isWide: Bool,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        try requireAVX(on: &context)
        let operands = VectorOperands(
            destination: read(instruction.vexRegister, on: &context).lower,
            source: Vector128(low: value),
            immediate: immediate,
            isWide: isWide
        )
        write(Vector256(lower: function(operands)), to: modRM.reg, on: &context)
    }

    /// The register that `vpextr` and `vmovd` read.
    mutating func vexSource(_ register: UInt8, on context: inout some CPUContext) throws(ExecutionFailure) -> Vector128
    {
        try requireAVX(on: &context)
        return read(register, on: &context).lower
    }

    mutating func performVEXMask(
        _ function: VectorExtraction,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        try requireAVX(on: &context)
        let source = read(modRM.rm, on: &context)
        var value = function(VectorOperands(source: source.lower, immediate: immediate))
        if instruction.isVector256 {
            // Sixteen bytes, four floats or two doubles a half.
            let laneCount: UInt64 = instruction.opcode == 0xD7 ? 16 : instruction.mandatoryPrefix == .p66 ? 2 : 4
            value |= function(VectorOperands(source: source.upper, immediate: immediate)) << laneCount
        }
        registers.write(value, to: modRM.register, width: .doubleword)
    }

    mutating func performVEXTest(on context: inout some CPUContext) throws(ExecutionFailure) {
        try requireAVX(on: &context)
        let source = try readSource(byteCount: vectorByteCount, from: &context)
        var destination = read(modRM.reg, on: &context)
        if !instruction.isVector256 { destination.upper = Vector128() }
        let all =
            source.lower.quadwords & destination.lower.quadwords | source.upper.quadwords & destination.upper.quadwords
        let rest =
            source.lower.quadwords & ~destination.lower.quadwords | source.upper.quadwords & ~destination.upper
            .quadwords
        registers.rflags.subtract(.arithmetic)
        registers.rflags.set(.zero, to: all == .zero)
        registers.rflags.set(.carry, to: rest == .zero)
    }

    mutating func performWide(
        _ function: WideFunction,
        _ part: WideSource,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        try requireAVX(on: &context)
        let byteCount =
            switch part {
            case .full: vectorByteCount
            case .xmm: 16
            case .bytes(let count): count
            case .elements(let count): instruction.isVector256 ? 2 * count : count
            }
        let source = try readSource(byteCount: byteCount, from: &context)
        let operands = WideOperands(
            first: read(instruction.vexRegister, on: &context),
            source: source,
            mask: read(immediate >> 4, on: &context),
            immediate: immediate
        )
        write(function(operands), to: modRM.reg, on: &context)
    }

    mutating func extractHalf(on context: inout some CPUContext) throws(ExecutionFailure) {
        try requireAVX(on: &context)
        let source = read(modRM.reg, on: &context)
        let half = Vector256(lower: immediate & 1 == 0 ? source.lower : source.upper)
        guard modRM.isRegister else { return try store(half, byteCount: 16, isAligned: false, to: &context) }
        write(half, to: modRM.rm, on: &context)
    }

    mutating func zeroVectors(isUpperOnly: Bool, on context: inout some CPUContext) throws(ExecutionFailure) {
        try requireAVX(on: &context)
        let count = instruction.codeSize == .bits64 ? 16 : 8
        changeExtendedState(of: &context) { state in
            state.use(1)
            state.use(Self.upperHalves)
            for register in 0..<count {
                if !isUpperOnly { state.area.storeInteger(0 as UInt128, at: 160 + 16 * register) }
                guard let offset = state.offset(of: Self.upperHalves) else { continue }
                state.area.storeInteger(0 as UInt128, at: offset + 16 * register)
            }
        }
    }

    /// Applies a function of 128 bits to each half of the vector.
    private func combine(_ function: VectorFunction, _ first: Vector256, _ source: Vector256) -> Vector256 {
        func half(_ first: Vector128, _ source: Vector128) -> Vector128 {
            function(VectorOperands(destination: first, source: source, immediate: immediate))
        }
        guard instruction.isVector256 else { return Vector256(lower: half(first.lower, source.lower)) }
        return Vector256(lower: half(first.lower, source.lower), upper: half(first.upper, source.upper))
    }
}

extension ExtendedState {
    /// The offset of a component beyond x87 and SSE, if the processor has it.
    fileprivate func offset(of component: Int) -> Int? {
        components.first { $0.index == component }?.standardOffset
    }

    /// Takes a component into use; one that was in its initial configuration begins as zeroes.
    fileprivate mutating func use(_ component: Int) {
        guard inUse & 1 << UInt64(component) == 0 else { return }
        inUse |= 1 << UInt64(component)
        if component == 1 {
            area.replaceSubrange(160..<416, with: repeatElement(0, count: 256))
        } else if let found = components.first(where: { $0.index == component }) {
            let range = found.standardOffset..<found.standardOffset + found.byteCount
            area.replaceSubrange(range, with: repeatElement(0, count: found.byteCount))
        }
    }
}
