// SPDX-License-Identifier: Apache-2.0

/// The default operand and address size, from CS.L, CS.D and EFER.LMA.
///
/// Intel SDM volume 3A, 5.2.1 "Code-Segment Descriptor in 64-bit Mode".
package enum CodeSize: Sendable {
    /// Real mode, or a code segment with D = 0.
    case bits16
    /// A code segment with D = 1.
    case bits32
    /// A code segment with L = 1 in long mode.
    case bits64

    /// The bits of RIP that count.
    var instructionPointerMask: UInt64 {
        switch self {
        case .bits16: 0xFFFF
        case .bits32: 0xFFFF_FFFF
        case .bits64: .max
        }
    }
}
