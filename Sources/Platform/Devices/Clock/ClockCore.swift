// SPDX-License-Identifier: Apache-2.0

/// The logic of the clock as a plain value.
///
/// Every operation gets the host's time in ticks.
struct ClockCore {
    /// Ticks are kept well inside Int64 whatever clock the host or a snapshot has.
    static let timeLimit: Int64 = 1 << 55
    static let ticksPerSecond: Int64 = 32_768
    /// UIP rises 244 microseconds before an update (MC146818A, "update cycle").
    private static let updateWarning: Int64 = 8

    static let initialMemory: [UInt8] = {
        var memory = [UInt8](repeating: 0, count: 128)
        memory[Int(ClockRegister.a.rawValue)] = ClockRegisterA.initial.rawValue
        memory[Int(ClockRegister.b.rawValue)] = ClockRegisterB.initial.rawValue
        memory[0x15] = 0x80  // base memory: 640 KiB, as firmware notes it
        memory[0x16] = 0x02
        return memory
    }()

    private(set) var index: UInt8
    private var memory: [128 of UInt8]
    private var offset: Int64
    private var evaluatedUntil: Int64?
    private var interruptLevel: Bool
    /// The interrupt line rose since `takeInterrupt()`.
    private var hasRisen = false

    init(_ state: RealTimeClockState) {
        index = state.index & 0x7f
        memory = [128 of UInt8](repeating: 0)
        for (index, byte) in state.memory.prefix(128).enumerated() {
            memory[index] = byte
        }
        offset = min(max(state.offset, -4 * Self.timeLimit), 4 * Self.timeLimit)
        evaluatedUntil = state.evaluatedUntil.map { min(max($0, -8 * Self.timeLimit), 8 * Self.timeLimit) }
        interruptLevel = state.interruptLevel
    }

    var state: RealTimeClockState {
        var state = RealTimeClockState()
        state.index = index
        state.memory = (0..<128).map { memory[$0] }
        state.offset = offset
        state.evaluatedUntil = evaluatedUntil
        state.interruptLevel = interruptLevel
        return state
    }

    mutating func takeInterrupt() -> Bool {
        defer { hasRisen = false }
        return hasRisen
    }

    private subscript(register: ClockRegister) -> UInt8 {
        get { memory[Int(register.rawValue)] }
        set { memory[Int(register.rawValue)] = newValue }
    }

    private var a: ClockRegisterA { ClockRegisterA(rawValue: self[.a]) }
    private var b: ClockRegisterB { ClockRegisterB(rawValue: self[.b]) }
    private var encoding: ClockEncoding { ClockEncoding(mode: b) }
    private var isStopped: Bool { b.contains(.set) || a.isDividerReset }

    // MARK: - The guest

    mutating func select(_ value: UInt8) {
        index = value & 0x7f  // bit 7 masks NMI, of which this machine has no source
    }

    mutating func read(at host: Int64) -> UInt8 {
        evaluate(at: host)
        guard let register = ClockRegister(rawValue: index) else { return memory[Int(index)] }
        if register.isTime && !isStopped { return encoded(register, of: civilTime(at: host)) }
        switch register {
        case .a:
            let fraction = (host + offset) & (Self.ticksPerSecond - 1)
            let isUpdating = !isStopped && fraction >= Self.ticksPerSecond - Self.updateWarning
            return isUpdating ? a.union(.updateInProgress).rawValue : a.rawValue
        case .c:
            let flags = self[.c]
            self[.c] = 0
            updateInterrupt()
            return flags
        case .d:
            return 0x80  // VRT: the battery is good
        case .b, .secondsAlarm, .minutesAlarm, .hoursAlarm,
            .seconds, .minutes, .hours, .weekday, .day, .month, .year, .century:
            return self[register]
        }
    }

    mutating func write(_ value: UInt8, at host: Int64) {
        evaluate(at: host)
        guard let register = ClockRegister(rawValue: index) else {
            memory[Int(index)] = value
            return
        }
        switch register {
        case .a:
            changeControl(at: host) { $0[.a] = value & 0x7f }
        case .b:
            changeControl(at: host) { clock in
                var new = ClockRegisterB(rawValue: value)
                if new.contains(.set) { new.remove(.updateInterrupt) }  // MC146818A, "register B", SET
                clock[.b] = new.rawValue
            }
        case .c, .d:
            break  // read-only
        case .secondsAlarm, .minutesAlarm, .hoursAlarm:
            self[register] = value
        case .seconds, .minutes, .hours, .weekday, .day, .month, .year, .century:
            if !isStopped { storeTime(at: host) }
            self[register] = value
            if !isStopped { setTime(at: host, fraction: (host + offset) & (Self.ticksPerSecond - 1)) }
        }
        updateInterrupt()
    }

    /// Changes register A or B; the time stops, or continues from the registers' values, as the new values demand.
    private mutating func changeControl(at host: Int64, _ change: (inout Self) -> Void) {
        let wasStopped = isStopped
        let wasReset = a.isDividerReset
        if !wasStopped { storeTime(at: host) }
        change(&self)
        guard wasStopped, !isStopped else { return }
        // Out of divider reset the first update comes after half a second (MC146818A, "divider control").
        let half = Self.ticksPerSecond / 2
        setTime(at: host, fraction: wasReset ? half : (host + offset) & (Self.ticksPerSecond - 1))
    }

    // MARK: - Time

    private func civilTime(at host: Int64) -> CivilTime {
        CivilTime(secondsSince1970: Int((host + offset) >> 15))
    }

    private func encoded(_ register: ClockRegister, of time: CivilTime) -> UInt8 {
        let year = min(max(time.year, 0), 9999)
        return switch register {
        case .seconds: encoding.encode(time.second)
        case .minutes: encoding.encode(time.minute)
        case .hours: encoding.encodeHour(time.hour)
        case .weekday: encoding.encode(time.weekday)
        case .day: encoding.encode(time.day)
        case .month: encoding.encode(time.month)
        case .year: encoding.encode(year % 100)
        case .century: encoding.encode(year / 100)
        case .secondsAlarm, .minutesAlarm, .hoursAlarm, .a, .b, .c, .d: self[register]
        }
    }

    /// Puts the running time into the registers.
    private mutating func storeTime(at host: Int64) {
        let time = civilTime(at: host)
        let registers = ClockRegister.timeRegisters
        for index in registers.indices {
            self[registers[index]] = encoded(registers[index], of: time)
        }
    }

    /// Lets the time run from the registers' values.
    ///
    /// The weekday follows the date.
    private mutating func setTime(at host: Int64, fraction: Int64) {
        let time = CivilTime(
            year: encoding.decode(self[.century]) * 100 + encoding.decode(self[.year]),
            month: encoding.decode(self[.month]),
            day: encoding.decode(self[.day]),
            hour: encoding.decodeHour(self[.hours]),
            minute: encoding.decode(self[.minutes]),
            second: encoding.decode(self[.seconds])
        )
        offset = Int64(time.secondsSince1970) * Self.ticksPerSecond + fraction - host
        evaluatedUntil = host + offset
    }

    // MARK: - Events

    /// Brings register C up to date: events are found when someone looks, not when they happen.
    mutating func evaluate(at host: Int64) {
        let now = host + offset
        let before = evaluatedUntil ?? now
        evaluatedUntil = now
        guard before < now else { return }  // the host's clock was set back: nothing has happened
        var flags = ClockRegisterC(rawValue: self[.c])
        if !isStopped && now >> 15 > before >> 15 {
            flags.insert(.update)
            if let alarm = nextAlarm(after: before >> 15), alarm <= now >> 15 { flags.insert(.alarm) }
        }
        if let shift = a.periodShift, !a.isDividerReset, now >> Int64(shift) > before >> Int64(shift) {
            flags.insert(.periodic)
        }
        self[.c] = flags.rawValue
        updateInterrupt()
    }

    private mutating func updateInterrupt() {
        var flags = ClockRegisterC(rawValue: self[.c]).intersection(.events)
        let isRequested = flags.rawValue & b.rawValue != 0
        if isRequested { flags.insert(.interruptRequest) }
        self[.c] = flags.rawValue
        if isRequested && !interruptLevel { hasRisen = true }
        interruptLevel = isRequested
    }

    /// The time until the interrupt line can rise, in ticks; nil if it cannot without an act of the guest.
    func ticksToInterrupt(at host: Int64) -> Int64? {
        guard !interruptLevel else { return nil }
        let now = host + offset
        var next: Int64?
        func consider(_ time: Int64) { next = min(next ?? time, time) }
        if b.contains(.periodicInterrupt), !a.isDividerReset, let shift = a.periodShift {
            consider((now >> Int64(shift) + 1) << Int64(shift))
        }
        if !isStopped && b.contains(.updateInterrupt) { consider((now >> 15 + 1) << 15) }
        if !isStopped && b.contains(.alarmInterrupt), let alarm = nextAlarm(after: now >> 15) {
            consider(alarm << 15)
        }
        return next.map { $0 - now }
    }

    /// The first second after `second` that matches the three alarm bytes; nil if no time of day does.
    ///
    /// An alarm byte of C0h to FFh matches everything (MC146818A, "alarm").
    private func nextAlarm(after second: Int64) -> Int64? {
        func bound(_ register: ClockRegister, _ decode: (UInt8) -> Int) -> Int64? {
            self[register] >= 0xc0 ? nil : Int64(decode(self[register]))
        }
        let alarmHour = bound(.hoursAlarm, encoding.decodeHour)
        let alarmMinute = bound(.minutesAlarm, encoding.decode)
        let alarmSecond = bound(.secondsAlarm, encoding.decode)
        // Values that no clock shows never match: without this each access would search a whole day.
        guard 0..<24 ~= alarmHour ?? 0, 0..<60 ~= alarmMinute ?? 0, 0..<60 ~= alarmSecond ?? 0 else { return nil }
        let day = Int64(CivilTime.secondsPerDay)
        var candidate = second + 1
        // Whole hours and minutes that do not match are skipped: at most about 25 + 60 + 60 steps.
        while candidate <= second + day {
            let time = ((candidate % day) + day) % day
            if let alarmHour, time / 3600 != alarmHour {
                candidate += 3600 - time % 3600
            } else if let alarmMinute, time / 60 % 60 != alarmMinute {
                candidate += 60 - time % 60
            } else if let alarmSecond, time % 60 != alarmSecond {
                candidate += 1
            } else {
                return candidate
            }
        }
        return nil
    }
}
