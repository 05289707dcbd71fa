// SPDX-License-Identifier: Apache-2.0

/// A device with 8-bit registers, as all devices of the ISA bus in a Martlet machine are.
///
/// A wider access is what the bus of a PC makes of it (IEEE P996, "data bus sizing"; PCI Local Bus 3.0, 3.2.2.1):
/// single-byte accesses to consecutive offsets, lowest first. A device conforms by its bytes alone.
package protocol ByteWideDevice: BusDevice {
    /// Answers a guest read of the register at `offset`.
    func readByte(at offset: UInt64) -> UInt8
    /// Takes a guest write to the register at `offset`.
    func writeByte(_ value: UInt8, at offset: UInt64)
}

extension ByteWideDevice {
    package func read(at offset: UInt64, into data: inout MutableRawSpan) {
        for index in 0..<data.byteCount {
            let value = readByte(at: offset &+ UInt64(index))
            data.storeBytes(of: value, toByteOffset: index, as: UInt8.self)
        }
    }

    package func write(at offset: UInt64, from data: RawSpan) {
        for index in 0..<data.byteCount {
            writeByte(data.byte(at: index), at: offset &+ UInt64(index))
        }
    }
}
