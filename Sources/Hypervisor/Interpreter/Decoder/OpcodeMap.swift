// SPDX-License-Identifier: Apache-2.0

/// An opcode map (Intel SDM volume 2, appendix A.3).
package enum OpcodeMap: UInt8, Sendable {
    /// One-byte opcodes.
    case primary
    /// Opcodes after `0f`.
    case map0F
    /// Opcodes after `0f 38`.
    case map0F38
    /// Opcodes after `0f 3a`.
    case map0F3A
}
