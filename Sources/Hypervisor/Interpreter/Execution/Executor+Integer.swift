// SPDX-License-Identifier: Apache-2.0

extension Executor {
    mutating func performInteger(
        _ operation: IntegerOperation,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        let width = width(operation.width)
        let sourceWidth = self.width(operation.sourceWidth)
        let vexRegister = GeneralRegister(encoding: instruction.vexRegister)
        var operands = IntegerOperands(
            width: width,
            sourceWidth: sourceWidth,
            register: registers.read(modRM.register, width: width),
            vexRegister: registers.read(vexRegister, width: width),
            source: try readOperand(sourceWidth, from: &context),
            immediate: immediate,
            flags: registers.rflags
        )
        let result = operation.function(&operands)
        let destination =
            switch operation.destination {
            case .register: modRM.register
            case .vexRegister: vexRegister
            }
        registers.rflags = operands.flags
        registers.write(result, to: destination, width: width)
    }

    private func width(_ width: IntegerOperation.Width) -> OperandWidth {
        switch width {
        case .operand: instruction.operandWidth
        case .doublewordOrQuadword: doublewordOrQuadword
        case .byte: .byte
        }
    }

    /// Reads the register or memory that ModRM.rm names.
    func readOperand(
        _ width: OperandWidth,
        from context: inout some CPUContext
    ) throws(ExecutionFailure) -> UInt64 {
        guard modRM.isRegister else {
            let address = try linearAddress(byteCount: width.byteCount, on: context)
            return try load(width, at: address, from: &context)
        }
        // Without REX, 4 to 7 name the second bytes of the first four registers: AH, CH, DH, BH.
        if width == .byte && 4...7 ~= modRM.rm && !instruction.prefixes.contains(.rex) {
            return registers[GeneralRegister(encoding: modRM.rm - 4)] >> 8 & 0xFF
        }
        return registers.read(modRM.rmRegister, width: width)
    }

    /// `cmpxchg8b` and `cmpxchg16b` (Intel SDM volume 2, "CMPXCHG8B/CMPXCHG16B").
    ///
    /// The exchange is atomic whether or not LOCK is there.
    mutating func compareExchangePair(on context: inout some CPUContext) throws(ExecutionFailure) {
        let width = doublewordOrQuadword
        let byteCount = 2 * width.byteCount
        let alignment: UInt64 = width == .quadword ? 16 : 1
        let address = try linearAddress(byteCount: byteCount, alignment: alignment, on: context)
        let expected = pair(.rdx, .rax, width)
        let observed: UInt128
        do throws(MemoryFault) {
            observed = try context.compareExchange(
                at: address,
                byteCount: byteCount,
                expected: expected,
                desired: pair(.rcx, .rbx, width)
            )
        } catch {
            throw failure(for: error, on: context)
        }
        registers.rflags.set(.zero, to: observed == expected)
        guard observed != expected else { return }
        registers.write(UInt64(truncatingIfNeeded: observed), to: .rax, width: width)
        let high = UInt64(truncatingIfNeeded: observed >> UInt128(width.bitCount))
        registers.write(high, to: .rdx, width: width)
    }

    private func pair(_ high: GeneralRegister, _ low: GeneralRegister, _ width: OperandWidth) -> UInt128 {
        UInt128(registers.read(high, width: width)) << UInt128(width.bitCount)
            | UInt128(registers.read(low, width: width))
    }

    mutating func storeBigEndian(on context: inout some CPUContext) throws(ExecutionFailure) {
        let width = instruction.operandWidth
        let address = try linearAddress(byteCount: width.byteCount, on: context)
        let swapped = registers.read(modRM.register, width: width).byteSwapped >> (64 - width.bitCount)
        try store(swapped, width, at: address, to: &context)
    }

    /// `mulx`: RDX times the operand; the high half wins when both destinations are the same register.
    mutating func multiplyWithoutFlags(on context: inout some CPUContext) throws(ExecutionFailure) {
        let width = instruction.operandWidth
        let source = try readOperand(width, from: &context)
        let product = UInt128(registers.read(.rdx, width: width)) * UInt128(source)
        let low = UInt64(truncatingIfNeeded: product)
        let high = UInt64(truncatingIfNeeded: product >> UInt128(width.bitCount))
        registers.write(low, to: GeneralRegister(encoding: instruction.vexRegister), width: width)
        registers.write(high, to: modRM.register, width: width)
    }

    /// `rdrand` and `rdseed`: CF tells whether there was a number.
    mutating func random(on context: inout some CPUContext) {
        let number = context.randomNumber()
        registers.rflags.subtract(.arithmetic)
        registers.rflags.set(.carry, to: number != nil)
        registers.write(number ?? 0, to: modRM.rmRegister, width: instruction.operandWidth)
    }
}
