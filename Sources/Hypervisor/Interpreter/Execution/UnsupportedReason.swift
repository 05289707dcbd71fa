// SPDX-License-Identifier: Apache-2.0

/// The reason why the emulator gives an instruction back.
package enum UnsupportedReason: Hashable, Sendable, CustomStringConvertible {
    /// There are too few bytes to identify the instruction.
    case truncated
    /// The instruction has an encoding that the decoder does not know.
    case encoding
    /// The table has no such instruction.
    case instruction(length: Int)
    /// The handler of an `int` is in another code segment or on a stack of its own, or the code is not 64-bit code of
    /// privilege level 0.
    case interruptHandler
    /// The memory operand, at this linear address, is not in RAM.
    case operandOutsideMemory(UInt64)
    /// The context has no XSAVE state.
    case noExtendedState

    /// The reason in words.
    package var description: String {
        switch self {
        case .truncated: "the instruction's bytes end too early"
        case .encoding: "the instruction's encoding (EVEX, XOP, 3DNow! or a misplaced prefix) is not supported"
        case .instruction(let length): "the \(length)-byte instruction is not in the emulator's table"
        case .interruptHandler: "INT to a handler in another code segment or on a stack of its own is not supported"
        case .operandOutsideMemory(let address):
            "the memory operand at linear address 0x\(String(address, radix: 16)) is not in RAM"
        case .noExtendedState: "the virtual CPU has no XSAVE state"
        }
    }
}
