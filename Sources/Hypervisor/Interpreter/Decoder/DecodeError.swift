// SPDX-License-Identifier: Apache-2.0

/// The reason why bytes are not an instruction that the decoder knows.
package enum DecodeError: Error, Hashable, Sendable {
    /// The bytes end before the instruction does.
    case truncated
    /// The instruction is longer than 15 bytes, which raises #GP (Intel SDM volume 2, 2.3.11).
    case tooLong
    /// The opcode does not exist in this mode, which raises #UD.
    case invalidOpcode
    /// An encoding scheme that the decoder does not know: EVEX, XOP, 3DNow!.
    case unsupportedEncoding
}
