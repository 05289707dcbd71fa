// SPDX-License-Identifier: Apache-2.0

extension [UInt8] {
    /// Appends `value` in little-endian order.
    mutating func append<T: FixedWidthInteger>(integer value: T) {
        for index in 0..<T.bitWidth / 8 { append(UInt8(truncatingIfNeeded: value >> T(8 * index))) }
    }

    /// Puts `value` at `offset` in little-endian order, over what is there.
    mutating func store<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        for index in 0..<T.bitWidth / 8 { self[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index)) }
    }

    /// The little-endian number at `offset`.
    func load<T: FixedWidthInteger>(_ type: T.Type, at offset: Int) -> T {
        (0..<T.bitWidth / 8).reduce(0) { $0 | T(self[offset + $1]) << T(8 * $1) }
    }
}
