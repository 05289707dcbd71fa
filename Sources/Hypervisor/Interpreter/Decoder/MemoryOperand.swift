// SPDX-License-Identifier: Apache-2.0

/// The parts that form the address of an instruction's memory operand.
package struct MemoryOperand: Hashable, Sendable {
    package var base: GeneralRegister?
    package var index: GeneralRegister?
    /// The shift of the index: 0 to 3.
    package var scale: UInt8 = 0
    /// The displacement, sign-extended.
    package var displacement: Int64 = 0
    /// Indicates whether the address is relative to the next instruction.
    package var isRIPRelative = false
    /// The size of the address: a sum is truncated to it.
    package var addressWidth: OperandWidth
    /// The segment, after overrides and defaults.
    package var segment: SegmentRegister = .ds

    /// Describes an operand without base, index and displacement.
    package init(addressWidth: OperandWidth) {
        self.addressWidth = addressWidth
    }

    /// The offset in the segment.
    package func effectiveAddress(_ registers: Registers, nextRIP: UInt64) -> UInt64 {
        var address = UInt64(bitPattern: displacement)
        if isRIPRelative { address &+= nextRIP }
        if let base { address &+= registers[base] }
        if let index { address &+= registers[index] << UInt64(scale) }
        return addressWidth.truncate(address)
    }
}
