// SPDX-License-Identifier: Apache-2.0

package import Devices

/// The accesses that device and bus have in common, for a test that plays the guest.
extension BusDevice {
    /// A guest read of a whole integer.
    package func read<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, at offset: UInt64) -> Value {
        var value: [1 of Value] = [0]
        var span = value.mutableSpan
        // SAFETY: every bit pattern is an integer.
        var bytes = unsafe span.mutableBytes
        read(at: offset, into: &bytes)
        return Value(littleEndian: value[0])
    }

    /// A guest read of one byte.
    package func read(_ offset: UInt64) -> UInt8 { read(UInt8.self, at: offset) }

    /// A guest write of a whole integer.
    package func write<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: UInt64) {
        let values: [1 of Value] = [value.littleEndian]
        // SAFETY: an integer has no padding.
        write(at: offset, from: unsafe values.span.bytes)
    }
}

extension Bus {
    /// A guest read of a whole integer.
    package func read<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type, at address: UInt64) -> Value {
        var value: [1 of Value] = [0]
        var span = value.mutableSpan
        // SAFETY: every bit pattern is an integer.
        var bytes = unsafe span.mutableBytes
        read(at: address, into: &bytes)
        return Value(littleEndian: value[0])
    }

    /// A guest write of a whole integer.
    package func write<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at address: UInt64) {
        let values: [1 of Value] = [value.littleEndian]
        // SAFETY: an integer has no padding.
        write(at: address, from: unsafe values.span.bytes)
    }
}
