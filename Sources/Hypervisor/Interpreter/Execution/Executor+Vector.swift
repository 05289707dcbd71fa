// SPDX-License-Identifier: Apache-2.0

extension Executor {
    /// The number of an XMM register in ModRM.reg.
    private var vectorRegister: Int { Int(modRM.reg) }

    private func address(
        _ memory: VectorMemory,
        on context: some CPUContext
    ) throws(ExecutionFailure) -> UInt64 {
        switch memory {
        case .aligned: try linearAddress(byteCount: 16, alignment: 16, on: context)
        case .unaligned: try linearAddress(byteCount: 16, on: context)
        case .quadword: try linearAddress(byteCount: 8, on: context)
        case .doubleword: try linearAddress(byteCount: 4, on: context)
        case .word: try linearAddress(byteCount: 2, on: context)
        }
    }

    private mutating func readVector(
        _ memory: VectorMemory,
        from context: inout some CPUContext
    ) throws(ExecutionFailure) -> Vector128 {
        if modRM.isRegister { return floatingPointState(of: &context).xmm[Int(modRM.rm)] }
        let address = try address(memory, on: context)
        return switch memory {
        case .aligned, .unaligned: Vector128(try load(UInt128.self, at: address, from: &context))
        case .quadword: Vector128(low: try load(.quadword, at: address, from: &context))
        case .doubleword: Vector128(low: try load(.doubleword, at: address, from: &context))
        case .word: Vector128(low: try load(.word, at: address, from: &context))
        }
    }

    mutating func performVector(
        _ function: VectorFunction,
        _ memory: VectorMemory,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        if isVEX { return try performVEX(function, memory, on: &context) }
        try requireSSE(on: context)
        let source = try readVector(memory, from: &context)
        let state = floatingPointState(of: &context)
        let operands = VectorOperands(
            destination: state.xmm[vectorRegister],
            source: source,
            immediate: immediate,
            implicit: state.xmm[0]
        )
        let result = function(operands)
        let register = vectorRegister
        changeFloatingPointState(of: &context) { $0.xmm[register] = result }
    }

    mutating func performVectorShift(
        _ function: VectorFunction,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        if isVEX { return try performVEXShift(function, on: &context) }
        try requireSSE(on: context)
        let register = Int(modRM.rm)
        let destination = floatingPointState(of: &context).xmm[register]
        let result = function(VectorOperands(destination: destination, immediate: immediate))
        changeFloatingPointState(of: &context) { $0.xmm[register] = result }
    }

    mutating func performVectorStore(
        _ function: VectorFunction,
        _ memory: VectorMemory,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        if isVEX { return try performVEXStore(function, memory, on: &context) }
        try requireSSE(on: context)
        let source = floatingPointState(of: &context).xmm[vectorRegister]
        if modRM.isRegister {
            let register = Int(modRM.rm)
            let destination = floatingPointState(of: &context).xmm[register]
            let result = function(VectorOperands(destination: destination, source: source))
            changeFloatingPointState(of: &context) { $0.xmm[register] = result }
            return
        }
        let address = try address(memory, on: context)
        let result = function(VectorOperands(destination: Vector128(), source: source))
        switch memory {
        case .aligned, .unaligned: try store(result.integer, at: address, to: &context)
        case .quadword: try store(result.low, .quadword, at: address, to: &context)
        case .doubleword: try store(result.low, .doubleword, at: address, to: &context)
        case .word: try store(result.low, .word, at: address, to: &context)
        }
    }

    /// The size of an element in a register and in memory.
    private func widths(of element: VectorElement) -> (register: OperandWidth, memory: OperandWidth) {
        switch element {
        case .doublewordOrQuadword: (doublewordOrQuadword, doublewordOrQuadword)
        case .word: (.doubleword, .word)
        case .byte: (.doubleword, .byte)
        }
    }

    mutating func performVectorInsert(
        _ function: VectorFunction,
        _ element: VectorElement,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        if !isVEX { try requireSSE(on: context) }
        let widths = widths(of: element)
        let value = try readOperand(modRM.isRegister ? widths.register : widths.memory, from: &context)
        if isVEX { return try performVEXInsert(function, value, isWide: widths.register == .quadword, on: &context) }
        let operands = VectorOperands(
            destination: floatingPointState(of: &context).xmm[vectorRegister],
            source: Vector128(low: value),
            immediate: immediate,
            isWide: widths.register == .quadword
        )
        let result = function(operands)
        let register = vectorRegister
        changeFloatingPointState(of: &context) { $0.xmm[register] = result }
    }

    mutating func performVectorExtract(
        _ function: VectorExtraction,
        _ element: VectorElement,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        let source: Vector128
        if isVEX {
            source = try vexSource(modRM.reg, on: &context)
        } else {
            try requireSSE(on: context)
            source = floatingPointState(of: &context).xmm[vectorRegister]
        }
        let widths = widths(of: element)
        let isWide = widths.register == .quadword
        let value = function(VectorOperands(source: source, immediate: immediate, isWide: isWide))
        guard modRM.isRegister else {
            let address = try linearAddress(byteCount: widths.memory.byteCount, on: context)
            return try store(value, widths.memory, at: address, to: &context)
        }
        registers.write(value, to: modRM.rmRegister, width: widths.register)
    }

    mutating func performVectorMask(
        _ function: VectorExtraction,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        if isVEX { return try performVEXMask(function, on: &context) }
        try requireSSE(on: context)
        let source = floatingPointState(of: &context).xmm[Int(modRM.rm)]
        let value = function(VectorOperands(source: source, immediate: immediate))
        registers.write(value, to: modRM.register, width: .doubleword)
    }

    /// `ptest` (Intel SDM volume 2, "PTEST").
    mutating func performVectorTest(on context: inout some CPUContext) throws(ExecutionFailure) {
        if isVEX { return try performVEXTest(on: &context) }
        try requireSSE(on: context)
        let source = try readVector(.aligned, from: &context).quadwords
        let destination = floatingPointState(of: &context).xmm[vectorRegister].quadwords
        registers.rflags.subtract(.arithmetic)
        registers.rflags.set(.zero, to: source & destination == .zero)
        registers.rflags.set(.carry, to: source & ~destination == .zero)
    }
}
