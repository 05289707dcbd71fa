// SPDX-License-Identifier: Apache-2.0

import Devices
import TestSupport

/// The accesses of Linux 6.1's 8250 driver to a port (drivers/tty/serial/8250/8250_port.c).
struct LinuxSerialDriver {
    enum PortType: Equatable {
        case unknown
        case uart8250Or16450
        case uart16550
        case uart16550A
        case other(String)
    }

    let port: SerialPort

    private func read(_ register: UInt64) -> UInt8 { port.read(register) }
    private func write(_ value: UInt8, _ register: UInt64) { port.write(value, at: register) }

    private func readDivisor() -> UInt16 { UInt16(read(0)) | UInt16(read(1)) << 8 }

    private func clearFIFOs() {
        write(0x01, Reg.fcr)
        write(0x07, Reg.fcr)
        write(0x00, Reg.fcr)
    }

    /// `autoconfig` with every probe, as `UPF_FULL_PROBE` asks for.
    func autoconfigure() -> PortType {
        let ier = read(Reg.ier)
        write(0, Reg.ier)
        let none = read(Reg.ier) & 0x0f
        write(0x0f, Reg.ier)
        let all = read(Reg.ier) & 0x0f
        write(ier, Reg.ier)
        guard none == 0, all == 0x0f else { return .other("IER test failed") }

        let (mcr, lcr) = (read(Reg.mcr), read(Reg.lcr))
        write(0x1a, Reg.mcr)
        let status = read(Reg.msr) & 0xf0
        write(mcr, Reg.mcr)
        guard status == 0x90 else { return .other("LOOP test failed") }

        write(0xbf, Reg.lcr)
        write(0, Reg.fcr)  // EFR
        write(0, Reg.lcr)
        write(0x01, Reg.fcr)
        var type: PortType
        switch read(Reg.iir) >> 6 {
        case 0: type = .uart8250Or16450
        case 2: type = .uart16550
        case 3: type = distinguish16550A()
        default: type = .unknown
        }
        write(lcr, Reg.lcr)
        write(mcr, Reg.mcr)
        clearFIFOs()
        _ = read(Reg.data)
        write(0, Reg.ier)
        return type
    }

    /// `autoconfig_16550a`.
    private func distinguish16550A() -> PortType {
        write(0x80, Reg.lcr)
        if read(2) == 0 { return .other("EFR with DLAB") }
        write(0xbf, Reg.lcr)
        if read(2) == 0 { return .other("EFR with 0xbf") }
        write(0, Reg.lcr)
        let mcr = read(Reg.mcr)
        write(0xe0, Reg.lcr)
        var excr = read(2)
        if (excr ^ mcr) & 0x10 == 0 {
            write(0, Reg.lcr)
            write(mcr ^ 0x10, Reg.mcr)
            write(0xe0, Reg.lcr)
            excr = read(2)
            write(0, Reg.lcr)
            write(mcr, Reg.mcr)
            if (excr ^ mcr) & 0x10 != 0 { return .other("NS16550A") }
        }
        write(0, Reg.lcr)
        write(0x21, Reg.fcr)
        let without = read(Reg.iir) >> 5
        write(0x01, Reg.fcr)
        write(0x80, Reg.lcr)
        write(0x21, Reg.fcr)
        let with = read(Reg.iir) >> 5
        write(0x01, Reg.fcr)
        write(0, Reg.lcr)
        if without == 6 && with == 7 { return .other("TI16750") }
        let ier = read(Reg.ier)
        write(ier & ~0x40, Reg.ier)
        if read(Reg.ier) & 0x40 == 0 {
            write(ier | 0x40, Reg.ier)
            if read(Reg.ier) & 0x40 != 0 { return .other("XScale") }
        }
        write(ier, Reg.ier)
        let size = measureFIFO()
        return size == 16 ? .uart16550A : .other("FIFO of \(size)")
    }

    /// `size_fifo`: how much loops back.
    func measureFIFO() -> Int {
        let lcr = read(Reg.lcr)
        write(0, Reg.lcr)
        let fcr = read(Reg.iir)
        let mcr = read(Reg.mcr)
        write(0x07, Reg.fcr)
        write(0x10, Reg.mcr)
        write(0x80, Reg.lcr)
        let divisor = readDivisor()
        write(1, 0)
        write(0, 1)
        write(0x03, Reg.lcr)
        for byte in UInt8.min...UInt8.max {
            write(byte, Reg.data)
        }
        var count = 0
        while read(Reg.lsr) & 1 != 0, count < 256 {
            _ = read(Reg.data)
            count += 1
        }
        write(fcr, Reg.fcr)
        write(mcr, Reg.mcr)
        write(0x80, Reg.lcr)
        write(UInt8(truncatingIfNeeded: divisor), 0)
        write(UInt8(divisor >> 8), 1)
        write(lcr, Reg.lcr)
        return count
    }

    /// `serial8250_do_startup`.
    ///
    /// - Returns: The bugs that the driver believes to see: `UART_BUG_THRE`, `UART_BUG_TXEN`.
    func startUp() -> (thre: Bool, txen: Bool) {
        clearFIFOs()
        clearInterrupts()
        _ = read(Reg.lsr)
        while read(Reg.lsr) & 0x20 == 0 {}
        write(0x02, Reg.ier)
        let first = read(Reg.iir)
        write(0x00, Reg.ier)
        write(0x02, Reg.ier)
        let second = read(Reg.iir)
        write(0x00, Reg.ier)
        write(0x03, Reg.lcr)
        write(0x08, Reg.mcr)
        write(0x02, Reg.ier)
        let lsr = read(Reg.lsr)
        let iir = read(Reg.iir)
        write(0x00, Reg.ier)
        clearInterrupts()
        return (first & 1 == 0 && second & 1 != 0, lsr & 0x40 != 0 && iir & 1 != 0)
    }

    private func clearInterrupts() {
        _ = read(Reg.lsr)
        _ = read(Reg.data)
        _ = read(Reg.iir)
        _ = read(Reg.msr)
    }

    /// `serial8250_do_set_termios` at 115,200 baud: it enables the received-data interrupt before the FIFO.
    func setTermios() {
        write(0x05, Reg.ier)
        write(0x83, Reg.lcr)
        write(1, 0)
        write(0, 1)
        write(0x03, Reg.lcr)
        write(0x01, Reg.fcr)
        write(0x81, Reg.fcr)
        write(0x0b, Reg.mcr)
    }

    /// `serial8250_do_shutdown`.
    func shutDown() {
        write(0, Reg.ier)
        write(0x00, Reg.mcr)
        write(read(Reg.lcr) & ~0x40, Reg.lcr)
        clearFIFOs()
        _ = read(Reg.data)
    }

    /// `serial8250_interrupt`: until no interrupt is pending.
    ///
    /// - Parameter transmit: Gives the next byte to send; nil stops the transmitter.
    /// - Returns: What was received.
    func handleInterrupts(transmit: () -> UInt8? = { nil }) -> [UInt8] {
        var received: [UInt8] = []
        while read(Reg.iir) & 1 == 0 {
            var status = read(Reg.lsr)
            while status & 0x11 != 0 {
                if status & 1 != 0 { received.append(read(Reg.data)) }
                status = read(Reg.lsr)
            }
            _ = read(Reg.msr)
            guard status & 0x20 != 0, port.state.interruptEnable & 0x02 != 0 else { continue }
            for _ in 0..<16 {
                guard let byte = transmit() else {
                    write(0x05, Reg.ier)
                    break
                }
                write(byte, Reg.data)
            }
        }
        return received
    }

    /// `serial8250_start_tx`.
    func startTransmitting() { write(0x07, Reg.ier) }
}
