// SPDX-License-Identifier: Apache-2.0

/// One character on its way to the guest, with the errors that the receiver FIFO keeps beside it.
package struct ReceivedCharacter: Codable, Hashable, Sendable {
    package var byte: UInt8
    /// LSR bits 4:2 (BI, FE, PE) of this character; a break is a zero byte with BI.
    package var errors: UInt8
    /// Looped back by the guest itself, not sent by the host.
    package var isLoopedBack: Bool

    package init(byte: UInt8, errors: UInt8 = 0, isLoopedBack: Bool = false) {
        self.byte = byte
        self.errors = errors & LineStatus.characterErrors.rawValue
        self.isLoopedBack = isLoopedBack
    }

    /// A break of the line: one zero character whatever its length (PC16550D, 8.4, bit 4).
    package static let lineBreak = Self(byte: 0, errors: LineStatus.breakInterrupt.rawValue)
    /// A character with a parity error.
    package static func parityError(_ byte: UInt8) -> Self {
        Self(byte: byte, errors: LineStatus.parityError.rawValue)
    }
    /// A character without a valid stop bit.
    package static func framingError(_ byte: UInt8) -> Self {
        Self(byte: byte, errors: LineStatus.framingError.rawValue)
    }

    var lineErrors: LineStatus { LineStatus(rawValue: errors) }
}
