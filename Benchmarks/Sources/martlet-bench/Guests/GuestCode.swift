// SPDX-License-Identifier: Apache-2.0

/// A few instructions whose bytes mean the same in 32-bit and in 64-bit mode: QEMU enters an ELF image in the former,
/// Martlet in the latter.
struct GuestCode {
    enum Port {
        static let serial: UInt16 = 0x3f8
        /// A register of the UART that only holds a byte.
        static let serialScratch: UInt16 = 0x3ff
        /// Martlet's exit-status port, and where QEMU's `isa-debug-exit` is put.
        static let exitStatus: UInt16 = 0x501
    }

    private(set) var bytes: [UInt8] = []

    // mov al, `value`; mov dx, `port`; out dx, al
    mutating func write(_ value: UInt8, to port: UInt16) {
        bytes += [0xb0, value]
        selectPort(port)
        bytes.append(0xee)
    }

    /// Writes AL to `port` and reads it back, `count` times.
    mutating func writeAndRead(_ port: UInt16, count: UInt32) {
        selectPort(port)
        setCounter(count)
        // out dx, al; in al, dx; loop back to the out
        bytes += [0xee, 0xec, 0xe2, 0xfc]
    }

    /// Sends `count` bytes as a driver does that polls: LSR read, then THR written.
    mutating func sendPolling(count: UInt32) {
        setCounter(count)
        // mov dx, 3fdh; in al, dx; mov al, 'x'; mov dx, 3f8h; out dx, al; loop back to the start
        bytes += [0x66, 0xba, 0xfd, 0x03, 0xec, 0xb0, 0x78, 0x66, 0xba, 0xf8, 0x03, 0xee, 0xe2, 0xf2]
    }

    /// Ends the machine with status 0.
    mutating func end() {
        write(0, to: Port.exitStatus)
        // hlt; jmp back to it
        bytes += [0xf4, 0xeb, 0xfd]
    }

    // mov dx, `port`
    private mutating func selectPort(_ port: UInt16) {
        bytes += [0x66, 0xba]
        bytes.append(integer: port)
    }

    // mov ecx, `count`
    private mutating func setCounter(_ count: UInt32) {
        bytes.append(0xb9)
        bytes.append(integer: count)
    }
}

extension GuestCode {
    /// Ends the machine, and does nothing else.
    static var end: GuestCode {
        var code = GuestCode()
        code.end()
        return code
    }

    /// Sends one byte to the console as its first act, and then ends the machine.
    static var firstByte: GuestCode {
        var code = GuestCode()
        code.write(UInt8(ascii: "!"), to: Port.serial)
        code.end()
        return code
    }
}
