// SPDX-License-Identifier: Apache-2.0

extension Executor {
    /// FSW.ES: an x87 exception is pending.
    private static let errorSummary: UInt16 = 1 << 7

    /// Checks that SSE instructions are valid now (Intel SDM volume 3A, table 14-1).
    func requireSSE(on context: some CPUContext) throws(ExecutionFailure) {
        guard !context.cr0.contains(.emulation), context.cr4.contains(.osFXSR) else { throw .invalidOpcode }
        guard !context.cr0.contains(.taskSwitched) else { throw .deviceNotAvailable }
    }

    private func requireX87(on context: some CPUContext) throws(ExecutionFailure) {
        guard context.cr0.isDisjoint(with: [.emulation, .taskSwitched]) else { throw .deviceNotAvailable }
    }

    private mutating func raisePendingX87Error(on context: inout some CPUContext) throws(ExecutionFailure) {
        let isPending = floatingPointState(of: &context).statusWord & Self.errorSummary != 0
        // Without CR0.NE the error is an interrupt from outside the CPU, which nobody models.
        guard !isPending || !context.cr0.contains(.numericError) else {
            throw .exception(CPUException(.floatingPointError))
        }
    }

    mutating func wait(on context: inout some CPUContext) throws(ExecutionFailure) {
        guard !context.cr0.isSuperset(of: [.monitorCoprocessor, .taskSwitched]) else { throw .deviceNotAvailable }
        try raisePendingX87Error(on: &context)
    }

    mutating func clearFloatingPointExceptions(on context: inout some CPUContext) throws(ExecutionFailure) {
        try requireX87(on: context)
        changeFloatingPointState(of: &context) { $0.statusWord &= ~0x80FF }
    }

    mutating func storeStatusWord(on context: inout some CPUContext) throws(ExecutionFailure) {
        try requireX87(on: context)
        registers.write(UInt64(floatingPointState(of: &context).statusWord), to: .rax, width: .word)
    }

    /// `fldcw`: an exception that is pending and no longer masked sets FSW.ES for the next x87 instruction.
    mutating func loadControlWord(on context: inout some CPUContext) throws(ExecutionFailure) {
        try requireX87(on: context)
        try raisePendingX87Error(on: &context)
        let address = try linearAddress(byteCount: 2, on: context)
        let controlWord = try load(UInt16.self, at: address, from: &context)
        changeFloatingPointState(of: &context) { state in
            // Bit 6 always reads as one, bits 7 and 13 to 15 as zero.
            state.controlWord = controlWord & 0x1F3F | 0x40
            let isPending = state.statusWord & ~controlWord & 0x3F != 0
            state.statusWord = state.statusWord & ~0x8080 | (isPending ? 0x8080 : 0)
        }
    }

    /// `fild`: with `fnclex` and `emms` how Linux keeps one program's x87 pointers from the next, on AMD processors whose `xrstor`
    /// leaves them.
    mutating func loadInteger(on context: inout some CPUContext) throws(ExecutionFailure) {
        try requireX87(on: context)
        try raisePendingX87Error(on: &context)
        let address = try linearAddress(byteCount: 4, on: context)
        let integer = Int32(bitPattern: try load(UInt32.self, at: address, from: &context))
        let opcode = 0x300 | UInt16(modRM.mod) << 6 | UInt16(modRM.lowRM)
        let instructionPointer = registers.rip
        changeFloatingPointState(of: &context) { state in
            state.lastOpcode = opcode
            state.lastInstructionPointer = instructionPointer
            state.lastDataPointer = address
            state.push(integer)
        }
    }

    mutating func emptyMMX(on context: inout some CPUContext) throws(ExecutionFailure) {
        guard !context.cr0.contains(.emulation) else { throw .invalidOpcode }
        try requireX87(on: context)
        try raisePendingX87Error(on: &context)
        changeFloatingPointState(of: &context) { $0.abridgedTagWord = 0 }
    }

    mutating func loadMXCSR(on context: inout some CPUContext) throws(ExecutionFailure) {
        try requireSSE(on: context)
        let address = try linearAddress(byteCount: 4, on: context)
        let mxcsr = try load(UInt32.self, at: address, from: &context)
        let writable = floatingPointState(of: &context).writableMXCSR
        guard mxcsr & ~writable == 0 else { throw .generalProtection }
        changeFloatingPointState(of: &context) { $0.mxcsr = mxcsr }
    }

    mutating func storeMXCSR(on context: inout some CPUContext) throws(ExecutionFailure) {
        try requireSSE(on: context)
        let address = try linearAddress(byteCount: 4, on: context)
        try store(floatingPointState(of: &context).mxcsr, at: address, to: &context)
    }
}
