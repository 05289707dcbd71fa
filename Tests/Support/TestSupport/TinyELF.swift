// SPDX-License-Identifier: Apache-2.0

/// A kernel of a few bytes: a 64-bit ELF executable with one segment, which Martlet enters by Linux's 64-bit protocol.
///
/// That is in long mode with the first 4 GiB mapped one to one, interrupts off, an empty interrupt table, a stack, and
/// RSI pointing to `boot_params`.
package struct TinyELF: Sendable {
    /// The address at which the code is loaded and entered: the lowest place for a kernel.
    package static let address: UInt64 = 0x10_0000

    /// The file.
    package let bytes: [UInt8]

    /// - Parameter code: The pieces, entered with RBX as `GuestCode` wants it.
    package init(_ code: [GuestCode]) {
        let moveBootParameters: [UInt8] = [0x48, 0x89, 0xf3]  // mov rbx, rsi
        self.init(machineCode: moveBootParameters + code.flatMap(\.bytes))
    }

    /// - Parameter machineCode: Entered with its registers as Martlet sets them.
    package init(machineCode: [UInt8]) {
        let headerByteCount: UInt64 = 64 + 56
        var file = FieldWriter()
        // The ELF header (System V ABI, chapter 4): class 64, little-endian, version 1.
        file.bytes = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        file.append(2 as UInt16)  // an executable
        file.append(62 as UInt16)  // EM_X86_64
        file.append(1 as UInt32)
        file.append(Self.address)  // entry
        file.append(64 as UInt64)  // program headers
        file.append(0 as UInt64)  // no sections
        file.append(0 as UInt32)
        for value in [64, 56, 1, 0, 0, 0] as [UInt16] { file.append(value) }
        // PT_LOAD, readable, writable and executable.
        file.append(1 as UInt32)
        file.append(7 as UInt32)
        file.append(headerByteCount)
        file.append(Self.address)
        file.append(Self.address)
        file.append(UInt64(machineCode.count))
        file.append(UInt64(machineCode.count))
        file.append(16 as UInt64)
        bytes = file.bytes + machineCode
    }
}

private struct FieldWriter {
    var bytes: [UInt8] = []

    mutating func append<T: FixedWidthInteger>(_ value: T) {
        for shift in stride(from: 0, to: T.bitWidth, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }
}
