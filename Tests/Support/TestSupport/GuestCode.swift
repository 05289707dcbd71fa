// SPDX-License-Identifier: Apache-2.0

/// A piece of 64-bit guest kernel code that runs wherever it lies and continues behind its end.
///
/// RBX holds the address of `boot_params` throughout; all other registers are any piece's to use. Intel SDM volume 2
/// has the encodings.
package struct GuestCode: Sendable {
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    private init(joining pieces: [GuestCode]) {
        bytes = pieces.flatMap(\.bytes)
    }

    // MARK: - Ports

    private enum Port {
        static let com1: UInt16 = 0x3f8
        static let lineStatus: UInt16 = 0x3fd
        static let i8042Status: UInt16 = 0x64
        static let exitStatus: UInt16 = 0x501
        static let pvpanic: UInt16 = 0x505
        static let sleepControl: UInt16 = 0x600
        static let reset: UInt16 = 0x602
    }

    // mov edx, port
    private static func select(_ port: UInt16) -> GuestCode {
        GuestCode([0xba] + littleEndian(UInt32(port)))
    }

    /// Writes one byte to a port.
    package static func out(_ port: UInt16, _ value: UInt8) -> GuestCode {
        GuestCode(select(port).bytes + [0xb0, value, 0xee])  // mov al, value; out dx, al
    }

    /// Waits until one of the bits of `mask` is 1 in what a port reads.
    package static func waitForBits(_ mask: UInt8, in port: UInt16) -> GuestCode {
        GuestCode(select(port).bytes + [0xec, 0xa8, mask, 0x74, 0xfb])  // again: in al, dx; test al, mask; jz again
    }

    /// Reads a port and forgets what it reads.
    package static func read(_ port: UInt16) -> GuestCode {
        GuestCode(select(port).bytes + [0xec])
    }

    /// Sends on COM1 what a port reads.
    package static func forward(_ port: UInt16) -> GuestCode {
        GuestCode(read(port).bytes + select(Port.com1).bytes + [0xee])
    }

    // MARK: - The serial port

    /// Sends `text` without a look at the line: for less than the console takes ahead of its reader.
    package static func write(_ text: String) -> GuestCode {
        let text = Array(text.utf8)
        let send = sendString(byteCount: text.count)
        // jmp over the text, which comes last: lea rsi, [rip + what lies between]
        let jump = [0xe9] + littleEndian(UInt32(text.count))
        let load = [0x48, 0x8d, 0x35] + littleEndian(UInt32(send.count + jump.count))
        return GuestCode(load + send + jump + text)
    }

    // mov ecx, byteCount; mov edx, com1; rep outsb
    private static func sendString(byteCount: Int) -> [UInt8] {
        [0xb9] + littleEndian(UInt32(byteCount)) + select(Port.com1).bytes + [0xf3, 0x6e]
    }

    /// Sends memory.
    package static func dump(_ address: UInt64, byteCount: Int) -> GuestCode {
        GuestCode([0x48, 0xbe] + littleEndian(address) + sendString(byteCount: byteCount))  // mov rsi, address
    }

    /// Sends the page of boot parameters.
    package static let dumpBootParameters = GuestCode([0x48, 0x89, 0xde] + sendString(byteCount: 4096))  // mov rsi, rbx

    /// Sends what the 32-bit pointer at `offset` in the boot parameters points to.
    package static func dump(behind32BitPointerAt offset: UInt32, byteCount: Int) -> GuestCode {
        GuestCode([0x8b, 0xb3] + littleEndian(offset) + sendString(byteCount: byteCount))  // mov esi, [rbx + offset]
    }

    /// Sends what the 64-bit pointer at `offset` in the boot parameters points to.
    package static func dump(behind64BitPointerAt offset: UInt32, byteCount: Int) -> GuestCode {
        // mov rsi, [rbx + offset]
        GuestCode([0x48, 0x8b, 0xb3] + littleEndian(offset) + sendString(byteCount: byteCount))
    }

    /// Sends AL as soon as the line takes it.
    private static let sendPolitely = GuestCode(
        [0x88, 0xc1]  // mov cl, al
            + waitForBits(0x20, in: Port.lineStatus).bytes
            + select(Port.com1).bytes + [0x88, 0xc8, 0xee]  // mov al, cl; out dx, al
    )

    /// Sends back what comes.
    private static let echoOne = GuestCode(
        joining: [waitForBits(0x01, in: Port.lineStatus), read(Port.com1), sendPolitely]
    )

    /// Sends back `byteCount` bytes.
    package static func echo(byteCount: Int) -> GuestCode {
        repeating([echoOne], count: byteCount)
    }

    /// Sends back what comes, forever.
    package static let echoForever = forever([echoOne])

    /// Sends 0, 1, … 255, 0, … and looks at the line before each byte.
    package static func countPolitely(byteCount: Int) -> GuestCode {
        // mov r9d, -1; then: inc r9d; mov al, r9b
        GuestCode(
            [0x41, 0xb9, 0xff, 0xff, 0xff, 0xff]
                + repeating([GuestCode([0x41, 0xff, 0xc1, 0x44, 0x88, 0xc8]), sendPolitely], count: byteCount).bytes
        )
    }

    /// Sends 0, 1, … 255, 0, … until the line shows that it is full.
    package static let countUntilFull: GuestCode = {
        let send = [0x41, 0xff, 0xc1, 0x44, 0x88, 0xc8] + select(Port.com1).bytes + [0xee]  // inc r9d; mov al, r9b; out
        let look = read(Port.lineStatus).bytes + [0xa8, 0x20]  // in al, dx; test al, THRE
        let again = UInt8(truncatingIfNeeded: -(send.count + look.count + 2))
        return GuestCode([0x41, 0xb9, 0xff, 0xff, 0xff, 0xff] + send + look + [0x75, again])  // mov r9d, -1; …; jnz
    }()

    /// Sends `byte` as fast as it can, forever, without a look at the line.
    package static func flood(_ byte: UInt8) -> GuestCode {
        // mov al, byte; again: out dx, al; jmp again
        GuestCode(select(Port.com1).bytes + [0xb0, byte, 0xee, 0xeb, 0xfd])
    }

    // MARK: - Loops

    /// Does nothing, forever, without an exit.
    package static let spin = GuestCode([0xeb, 0xfe])

    /// Halts with interrupts on, for an interrupt that never comes.
    package static let halt = GuestCode([0xfb, 0xf4, 0xeb, 0xfd])  // sti; again: hlt; jmp again

    /// Halts with interrupts off.
    package static let haltForGood = GuestCode([0xfa, 0xf4, 0xeb, 0xfd])  // cli; again: hlt; jmp again

    /// Runs `pieces` again and again.
    package static func forever(_ pieces: [GuestCode]) -> GuestCode {
        let body = GuestCode(joining: pieces).bytes
        return GuestCode(body + [0xe9] + littleEndian(UInt32(bitPattern: -Int32(body.count + 5))))
    }

    /// Runs `pieces`, which leave R8 alone, `count` times.
    package static func repeating(_ pieces: [GuestCode], count: Int) -> GuestCode {
        // mov r8d, count; again: …; dec r8d; jnz again
        let body = GuestCode(joining: pieces).bytes + [0x41, 0xff, 0xc8]
        let jump = [0x0f, 0x85] + littleEndian(UInt32(bitPattern: -Int32(body.count + 6)))
        return GuestCode([0x41, 0xb8] + littleEndian(UInt32(count)) + body + jump)
    }

    // MARK: - Memory

    /// Stores 16 bits below 2 GiB.
    package static func store(_ value: UInt16, at address: UInt32) -> GuestCode {
        GuestCode([0x66, 0xc7, 0x04, 0x25] + littleEndian(address) + littleEndian(value))  // mov word [address], value
    }

    /// Stores 32 bits anywhere below 4 GiB.
    package static func store(doubleword value: UInt32, at address: UInt32) -> GuestCode {
        // mov eax, address; mov dword [rax], value
        GuestCode([0xb8] + littleEndian(address) + [0xc7, 0x00] + littleEndian(value))
    }

    /// Copies 32 bits, or a register, from anywhere below 4 GiB to memory below 2 GiB.
    package static func copy(doublewordAt address: UInt32, to other: UInt32) -> GuestCode {
        // mov eax, address; mov eax, [rax]; mov [other], eax
        GuestCode([0xb8] + littleEndian(address) + [0x8b, 0x00, 0x89, 0x04, 0x25] + littleEndian(other))
    }

    // MARK: - Ends

    /// ACPI soft-off: SLP_EN and sleep type 5.
    package static let powerOff = out(Port.sleepControl, 1 << 5 | 5 << 2)

    /// The reset register of the FADT.
    package static let resetByRegister = out(Port.reset, 1)

    /// The keyboard controller's pulse on the processor's reset line.
    package static let resetByKeyboardController = out(Port.i8042Status, 0xfe)

    /// The panic notifier's PVPANIC_PANICKED.
    package static let panic = out(Port.pvpanic, 1)

    /// An exception with an empty interrupt table, which is how Martlet enters a kernel: ud2.
    package static let tripleFault = GuestCode([0x0f, 0x0b])

    /// INIT to the first processor, by its own local APIC: mov eax, interrupt command; mov dword [rax + 16], 0; mov dword [rax],
    /// INIT and assert.
    package static let initFirstProcessor = GuestCode(
        [0xb8, 0x00, 0x03, 0xe0, 0xfe, 0xc7, 0x40, 0x10, 0, 0, 0, 0, 0xc7, 0x00, 0x00, 0x45, 0, 0]
    )

    /// The exit-status port.
    package static func exit(_ status: UInt8) -> GuestCode {
        out(Port.exitStatus, status)
    }
}

private func littleEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    stride(from: 0, to: T.bitWidth, by: 8).map { UInt8(truncatingIfNeeded: value >> T($0)) }
}
