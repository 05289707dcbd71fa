// SPDX-License-Identifier: Apache-2.0

/// The device-specific configuration of a device as bytes, little-endian as the driver sees it (virtio 1.2, 2.5).
package struct ConfigurationSpace: Hashable, Sendable {
    private var bytes: [UInt8]

    /// Makes a configuration of zeros.
    package init(byteCount: Int) {
        bytes = Array(repeating: 0, count: byteCount)
    }

    /// Sets the field at `offset`.
    package mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        for index in 0..<T.bitWidth / 8 {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index))
        }
    }

    /// Answers a read of any width at any place; beyond the end it gives zeros.
    package func read(at offset: UInt64, into data: inout MutableRawSpan) {
        for index in 0..<data.byteCount {
            let (position, overflow) = offset.addingReportingOverflow(UInt64(index))
            let isInside = !overflow && position < UInt64(bytes.count)
            data.storeBytes(of: isInside ? bytes[Int(position)] : 0, toByteOffset: index, as: UInt8.self)
        }
    }
}
