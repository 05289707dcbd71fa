// SPDX-License-Identifier: Apache-2.0

/// Completes single x86 instructions on behalf of a KVM that cannot emulate them.
///
/// The path of an instruction: ``InstructionDecoder`` parses its bytes, ``InstructionTable`` selects its operation
/// they stand for, and ``Executor`` carries it out on copies of the state, which go back to the ``CPUContext`` at the end
/// and only if there was no fault. CPUID is not consulted: an instruction in the table is executed whether or not the
/// guest was told that it exists.
package enum InstructionEmulator {
    /// Executes the instruction at RIP.
    package static func complete(_ code: Span<UInt8>, on context: inout some CPUContext) -> Outcome {
        let instruction: Instruction
        do throws(DecodeError) {
            instruction = try InstructionDecoder.decode(code, codeSize: context.codeSize)
        } catch {
            return switch error {
            case .truncated: .unsupported(.truncated)
            case .tooLong: .exception(.generalProtection)
            case .invalidOpcode: .exception(.invalidOpcode)
            case .unsupportedEncoding: .unsupported(.encoding)
            }
        }
        guard let entry = InstructionTable.entry(for: instruction) else {
            return .unsupported(.instruction(length: instruction.length))
        }
        do throws(ExecutionFailure) {
            return try complete(instruction, as: entry, on: &context)
        } catch {
            return switch error {
            case .exception(let exception): .exception(exception)
            case .unsupported(let reason): .unsupported(reason)
            }
        }
    }

    private static func complete(
        _ instruction: Instruction,
        as entry: InstructionEntry,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) -> Outcome {
        // LOCK is #UD except with certain instructions that write memory (Intel SDM volume 2, "LOCK").
        let mayLock = entry.isLockable && instruction.memory != nil
        guard mayLock || !instruction.prefixes.contains(.lock) else { throw .invalidOpcode }
        guard entry.encoding != .vexWithoutRegister || instruction.vexRegister == 0 else { throw .invalidOpcode }
        // There is no VEX in real mode.
        if instruction.prefixes.contains(.vex) && instruction.codeSize == .bits16 {
            guard context.cr0.contains(.protectionEnable) else { throw .invalidOpcode }
        }
        var executor = Executor(instruction, registers: context.registers)
        try executor.perform(entry.operation, on: &context)
        let wasSingleStep = executor.registers.rflags.contains(.trap)
        executor.commit(to: &context)
        if let trap = executor.trap { return .exception(trap) }
        return wasSingleStep ? .exception(.singleStep) : .completed
    }
}
