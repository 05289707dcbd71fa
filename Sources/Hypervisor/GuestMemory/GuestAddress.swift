// SPDX-License-Identifier: Apache-2.0

/// A guest physical address, in bytes.
///
/// Arithmetic is checked: an address comes from the guest more often than not, and a trap would be a crash that the
/// guest chose.
public struct GuestAddress: RawRepresentable, Hashable, Comparable, Sendable {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    @inlinable
    public static func < (lhs: Self, rhs: Self) -> Bool {
        lhs.rawValue < rhs.rawValue
    }

    /// The address `byteCount` bytes further on, or `nil` where it would leave the 64-bit address space.
    @inlinable
    public func advanced(by byteCount: UInt64) -> GuestAddress? {
        let (sum, overflow) = rawValue.addingReportingOverflow(byteCount)
        return overflow ? nil : GuestAddress(rawValue: sum)
    }

    /// The distance in bytes from `other` up to this address, or `nil` when this address lies below `other`.
    @inlinable
    public func distance(from other: GuestAddress) -> UInt64? {
        let (difference, isBelow) = rawValue.subtractingReportingOverflow(other.rawValue)
        return isBelow ? nil : difference
    }
}

extension GuestAddress: ExpressibleByIntegerLiteral {
    @inlinable
    public init(integerLiteral value: UInt64) {
        self.init(rawValue: value)
    }
}

extension GuestAddress: CustomStringConvertible {
    public var description: String {
        "0x" + String(rawValue, radix: 16)
    }
}
