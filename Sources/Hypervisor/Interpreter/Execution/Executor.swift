// SPDX-License-Identifier: Apache-2.0

/// One instruction in execution.
///
/// Operations change the copies of the state in here; a write to guest memory is the last thing of an operation that can
/// fail. So a fault needs no undoing: the executor is dropped.
struct Executor {
    let instruction: Instruction
    /// RIP of the next instruction.
    var nextRIP: UInt64
    var registers: Registers
    /// The exception to raise after the instruction.
    var trap: CPUException?

    private var floatingPoint: FloatingPointState?
    private var isFloatingPointChanged = false
    private var extended: ExtendedState?
    private var isExtendedChanged = false

    init(_ instruction: Instruction, registers: Registers) {
        self.instruction = instruction
        self.registers = registers
        nextRIP = (registers.rip &+ UInt64(instruction.length)) & instruction.codeSize.instructionPointerMask
    }

    /// Gives the changed state to the context, and advances RIP.
    consuming func commit(to context: inout some CPUContext) {
        if isFloatingPointChanged, let floatingPoint { context.setFloatingPointState(floatingPoint) }
        if isExtendedChanged, let extended { context.setExtendedState(extended) }
        registers.rip = nextRIP
        registers.rflags.subtract(.resume)
        context.registers = registers
    }

    /// ModRM, which every operation that asks for it has.
    var modRM: ModRM {
        guard let modRM = instruction.modRM else { preconditionFailure("a table row asks for ModRM without having it") }
        return modRM
    }

    /// The immediate byte.
    var immediate: UInt8 { UInt8(truncatingIfNeeded: instruction.immediate) }

    /// The operand width of instructions whose mandatory `66` does not mean a 16-bit operand.
    var doublewordOrQuadword: OperandWidth {
        instruction.isWide && instruction.codeSize == .bits64 ? .quadword : .doubleword
    }

    /// The x87 and SSE state, fetched on first use.
    mutating func floatingPointState(of context: inout some CPUContext) -> FloatingPointState {
        if let floatingPoint { return floatingPoint }
        let state = context.floatingPointState()
        floatingPoint = state
        return state
    }

    /// The XSAVE-managed state, fetched on first use; `nil` where the CPU has none.
    mutating func extendedState(of context: inout some CPUContext) -> ExtendedState? {
        if extended == nil { extended = context.extendedState() }
        return extended
    }

    /// Changes the XSAVE-managed state; the change takes effect at the end of the instruction.
    mutating func changeExtendedState(of context: inout some CPUContext, _ change: (inout ExtendedState) -> Void) {
        guard var state = extendedState(of: &context) else { return }
        change(&state)
        extended = state
        isExtendedChanged = true
    }

    /// Changes the x87 and SSE state; the change takes effect at the end of the instruction.
    mutating func changeFloatingPointState(
        of context: inout some CPUContext,
        _ change: (inout FloatingPointState) -> Void
    ) {
        var state = floatingPointState(of: &context)
        change(&state)
        floatingPoint = state
        isFloatingPointChanged = true
    }
}
