// SPDX-License-Identifier: Apache-2.0

/// The first 14 bytes of CMOS RAM and the century byte (Motorola MC146818A datasheet, figure 11; ACPI FADT `CENTURY`).
enum ClockRegister: UInt8 {
    case seconds = 0x00
    case secondsAlarm = 0x01
    case minutes = 0x02
    case minutesAlarm = 0x03
    case hours = 0x04
    case hoursAlarm = 0x05
    case weekday = 0x06
    case day = 0x07
    case month = 0x08
    case year = 0x09
    case a = 0x0a
    case b = 0x0b
    case c = 0x0c
    case d = 0x0d
    /// Two digits of the century, where PC firmware and the FADT put them.
    case century = 0x32

    /// Indicates whether this byte follows the time while the clock runs.
    var isTime: Bool {
        switch self {
        case .seconds, .minutes, .hours, .weekday, .day, .month, .year, .century: true
        case .secondsAlarm, .minutesAlarm, .hoursAlarm, .a, .b, .c, .d: false
        }
    }

    static let timeRegisters: [8 of Self] = [
        .seconds, .minutes, .hours, .weekday, .day, .month, .year, .century,
    ]
}

/// Register A: UIP, the divider (bits 6:4) and the rate of the periodic interrupt (bits 3:0).
struct ClockRegisterA: OptionSet {
    let rawValue: UInt8
    /// UIP: the time is about to change; read-only.
    static let updateInProgress = Self(rawValue: 1 << 7)
    /// The 32,768 Hz crystal of every PC, and a periodic rate of 1,024 Hz: what firmware leaves.
    static let initial = Self(rawValue: 0x26)

    /// DV2-DV0 of 11x hold the divider in reset: the clock is stopped.
    var isDividerReset: Bool { rawValue & 0x60 == 0x60 }

    /// The period in ticks of the crystal, as a power of two; nil if the rate is "none" (MC146818A, table 5).
    var periodShift: Int? {
        switch rawValue & 0x0f {
        case 0: nil
        case 1: 7  // 256 Hz, as rate 8
        case 2: 8  // 128 Hz, as rate 9
        default: Int(rawValue & 0x0f) - 1
        }
    }
}

/// Register B.
struct ClockRegisterB: OptionSet {
    let rawValue: UInt8
    /// Daylight saving; kept, without effect, as on every later chip.
    static let daylightSaving = Self(rawValue: 1 << 0)
    /// Hours count to 24, not to 12 with an AM/PM bit.
    static let hours24 = Self(rawValue: 1 << 1)
    /// DM: fields are binary, not BCD.
    static let binary = Self(rawValue: 1 << 2)
    static let squareWave = Self(rawValue: 1 << 3)
    /// UIE.
    static let updateInterrupt = Self(rawValue: 1 << 4)
    /// AIE.
    static let alarmInterrupt = Self(rawValue: 1 << 5)
    /// PIE.
    static let periodicInterrupt = Self(rawValue: 1 << 6)
    /// SET: the clock is stopped, and the time may be written.
    static let set = Self(rawValue: 1 << 7)
    static let initial: Self = [.hours24]
}

/// Register C: which events have come; reading clears all.
///
/// An event's bit is that of its enable in register B.
struct ClockRegisterC: OptionSet {
    let rawValue: UInt8
    /// UF.
    static let update = Self(rawValue: 1 << 4)
    /// AF.
    static let alarm = Self(rawValue: 1 << 5)
    /// PF.
    static let periodic = Self(rawValue: 1 << 6)
    /// IRQF: an enabled event has come.
    static let interruptRequest = Self(rawValue: 1 << 7)
    static let events: Self = [.update, .alarm, .periodic]
}

/// The notation of numbers that register B selects.
struct ClockEncoding {
    let mode: ClockRegisterB

    private static let afternoon: UInt8 = 0x80

    func encode(_ value: Int) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: value)
        return mode.contains(.binary) ? value : (value / 10 % 10) << 4 | value % 10
    }

    /// Never fails: a nibble above 9 counts with its value.
    func decode(_ byte: UInt8) -> Int {
        mode.contains(.binary) ? Int(byte) : Int(byte >> 4) * 10 + Int(byte & 0x0f)
    }

    func encodeHour(_ hour: Int) -> UInt8 {
        guard !mode.contains(.hours24) else { return encode(hour) }
        let hour12 = hour % 12 == 0 ? 12 : hour % 12
        return encode(hour12) | (hour >= 12 ? Self.afternoon : 0)
    }

    func decodeHour(_ byte: UInt8) -> Int {
        guard !mode.contains(.hours24) else { return decode(byte) }
        return decode(byte & ~Self.afternoon) % 12 + (byte & Self.afternoon != 0 ? 12 : 0)
    }
}
