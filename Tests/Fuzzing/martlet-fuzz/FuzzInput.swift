// SPDX-License-Identifier: Apache-2.0

/// The bytes of one run, taken from the front.
struct FuzzInput {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        self.bytes = bytes[...]
    }

    var isEmpty: Bool { bytes.isEmpty }

    /// All bytes that are left.
    var rest: [UInt8] { Array(bytes) }

    /// The next byte; 0 behind the end.
    mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }

    /// The next little-endian integer; zeros behind the end.
    mutating func integer<T: FixedWidthInteger>(_ type: T.Type) -> T {
        stride(from: 0, to: T.bitWidth, by: 8).reduce(0) {
            $0 | T(truncatingIfNeeded: byte()) << T(truncatingIfNeeded: $1)
        }
    }
}
