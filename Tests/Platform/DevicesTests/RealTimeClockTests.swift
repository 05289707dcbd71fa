// SPDX-License-Identifier: Apache-2.0

@testable import Devices
import Synchronization
import TestSupport
import Testing

/// A timer that is due when its clock has come so far; the test lets it fire.
private final class ManualTimer: DeviceTimer {
    private let clock: ManualClock
    private let deadline = Mutex<Duration?>(nil)

    init(clock: ManualClock) { self.clock = clock }

    var pending: Duration? { deadline.withLock { $0 }.map { $0 - clock.now } }

    func schedule(after delay: Duration?) {
        let now = clock.now
        deadline.withLock { $0 = delay.map { now + $0 } }
    }
}

/// A clock that shows 2026-07-25 13:59:58 UTC, a Saturday.
private struct ClockRig {
    let line = RecordingInterruptLine()
    let timer: ManualTimer
    let host: ManualClock
    let rtc: RealTimeClock

    init(at time: CivilTime = CivilTime(year: 2026, month: 7, day: 25, hour: 13, minute: 59, second: 58)) {
        self.init(host: ManualClock(secondsSince1970: time.secondsSince1970))
    }

    init(host: ManualClock, state: RealTimeClockState = RealTimeClockState()) {
        self.host = host
        timer = ManualTimer(clock: host)
        rtc = RealTimeClock(state: state, interrupt: line, timer: timer) { host.now }
    }

    func read(_ index: UInt8) -> UInt8 {
        rtc.write(index, at: 0)
        return rtc.read(1)
    }

    func write(_ value: UInt8, to index: UInt8) {
        rtc.write(index, at: 0)
        rtc.write(value, at: 1)
    }

    /// Century, year, month, day, weekday, hours, minutes, seconds.
    var time: [UInt8] { [0x32, 9, 8, 7, 6, 4, 2, 0].map { read($0) } }

    /// Sets century, year, month, day, hour, minute and second as Linux's `mc146818_set_time` does.
    func set(_ values: UInt8...) {
        let control = read(0x0b)
        write(control | 0x80, to: 0x0b)
        let frequency = read(0x0a)
        write(frequency | 0x70, to: 0x0a)
        for (index, value) in zip([0x32, 9, 8, 7, 4, 2, 0] as [UInt8], values) {
            write(value, to: index)
        }
        write(control, to: 0x0b)
        write(frequency, to: 0x0a)
    }

    /// Lets time pass, and the timer fire whenever it is due.
    func pass(_ duration: Duration) {
        var left = duration
        while let delay = timer.pending, delay <= left {
            host.advance(by: delay)
            left -= delay
            timer.schedule(after: nil)
            rtc.timerFired()
        }
        host.advance(by: left)
    }
}

@Suite struct RealTimeClockTests {
    @Test func `firmware leaves a running clock in BCD and 24 hours`() {
        let rig = ClockRig()
        #expect([0x0a, 0x0b, 0x0c, 0x0d].map { rig.read($0) } == [0x26, 0x02, 0x00, 0x80])
    }

    @Test func `the time is the host's UTC in BCD`() {
        let rig = ClockRig()
        #expect(rig.time == [0x20, 0x26, 0x07, 0x25, 7, 0x13, 0x59, 0x58])
        rig.host.advance(by: .seconds(2))
        #expect(rig.time == [0x20, 0x26, 0x07, 0x25, 7, 0x14, 0x00, 0x00])
    }

    @Test func `register B selects binary numbers and 12 hours`() {
        let rig = ClockRig()
        rig.write(0x06, to: 0x0b)
        #expect(rig.time == [20, 26, 7, 25, 7, 13, 59, 58])
        rig.write(0x04, to: 0x0b)
        #expect(rig.read(4) == 0x81)
        rig.write(0x00, to: 0x0b)
        #expect(rig.read(4) == 0x81)
    }

    @Test(arguments: [(0, 0x12), (1, 0x01), (11, 0x11), (12, 0x92), (13, 0x81), (23, 0x91)] as [(Int, UInt8)])
    func `12 hours are 12, 1 to 11, and bit 7 is the afternoon`(hour: Int, byte: UInt8) {
        let rig = ClockRig(at: CivilTime(year: 2026, month: 1, day: 1, hour: hour))
        rig.write(0x00, to: 0x0b)
        #expect(rig.read(4) == byte)
        rig.set(0x20, 0x26, 1, 1, byte, 0, 0)
        #expect(rig.read(4) == byte)
        rig.write(0x02, to: 0x0b)
        #expect(rig.read(4) == UInt8((hour / 10) << 4 | hour % 10))
    }

    @Test func `a time that the guest sets runs on from there`() {
        let rig = ClockRig()
        rig.set(0x20, 0x38, 0x01, 0x19, 0x03, 0x14, 0x07)
        #expect(rig.time == [0x20, 0x38, 0x01, 0x19, 3, 0x03, 0x14, 0x07])
        // Out of divider reset the first second is half as long.
        rig.host.advance(by: .milliseconds(499))
        #expect(rig.read(0) == 0x07)
        rig.host.advance(by: .milliseconds(2))
        #expect(rig.read(0) == 0x08)
        rig.host.advance(by: .seconds(86_400))
        #expect(rig.time == [0x20, 0x38, 0x01, 0x20, 4, 0x03, 0x14, 0x08])
    }

    @Test func `SET stops the clock and keeps what was read`() {
        let rig = ClockRig()
        rig.write(0x82, to: 0x0b)
        rig.host.advance(by: .seconds(100))
        #expect(rig.read(0) == 0x58)
        rig.write(0x02, to: 0x0b)
        #expect(rig.read(0) == 0x58)
        rig.host.advance(by: .seconds(1))
        #expect(rig.read(0) == 0x59)
    }

    @Test func `a single register can be set while the clock runs`() {
        let rig = ClockRig()
        rig.write(0x30, to: 2)
        #expect(rig.time == [0x20, 0x26, 0x07, 0x25, 7, 0x13, 0x30, 0x58])
    }

    @Test func `UIP is set for the last quarter of a millisecond of a second`() {
        let rig = ClockRig()
        #expect(rig.read(0x0a) == 0x26)
        rig.host.advance(by: .microseconds(999_700))
        #expect(rig.read(0x0a) == 0x26)
        rig.host.advance(by: .microseconds(100))
        #expect(rig.read(0x0a) == 0xa6)
        rig.host.advance(by: .microseconds(200))
        #expect(rig.read(0x0a) == 0x26)
    }

    @Test func `CMOS RAM keeps its bytes, and bit 7 of the index does not matter`() {
        let rig = ClockRig()
        for index in UInt8(0x0e)..<0x80 where index != 0x32 {
            rig.write(index ^ 0xa5, to: index)
        }
        for index in UInt8(0x0e)..<0x80 where index != 0x32 {
            #expect(rig.read(index | 0x80) == index ^ 0xa5)
        }
        #expect(rig.rtc.read(0) == 0xff)
    }

    @Test func `registers C and D cannot be written`() {
        let rig = ClockRig()
        rig.write(0xff, to: 0x0c)
        rig.write(0x00, to: 0x0d)
        #expect(rig.read(0x0c) == 0)
        #expect(rig.read(0x0d) == 0x80)
    }

    // MARK: - Events

    @Test func `events show in register C without interrupts and are cleared by reading`() {
        let rig = ClockRig()
        _ = rig.read(0x0c)
        rig.host.advance(by: .seconds(1))
        #expect(rig.read(0x0c) == 0x50)
        #expect(rig.read(0x0c) == 0x00)
        #expect(rig.line.edgeCount == 0)
        #expect(rig.timer.pending == nil)
    }

    @Test func `the alarm interrupts once at its time`() {
        let rig = ClockRig()
        rig.write(0x14, to: 5)
        rig.write(0x00, to: 3)
        rig.write(0x05, to: 1)
        rig.write(0x22, to: 0x0b)
        #expect(rig.timer.pending == .seconds(7))
        rig.pass(.milliseconds(6999))
        #expect(rig.line.takeEdges() == 0)
        rig.pass(.milliseconds(2))
        #expect(rig.line.takeEdges() == 1)
        #expect(rig.timer.pending == nil)
        #expect(rig.read(0x0c) & 0xa0 == 0xa0)
        #expect(rig.timer.pending.map { $0 > .seconds(86_398) } == true)
    }

    @Test func `an alarm byte of C0h and up matches everything`() {
        let rig = ClockRig()
        for index in [5, 3] as [UInt8] {
            rig.write(0xff, to: index)
        }
        rig.write(0x30, to: 1)
        rig.write(0x22, to: 0x0b)
        var edges = 0
        for _ in 0..<10 {
            rig.pass(.seconds(60))
            edges += rig.line.takeEdges()
            #expect(rig.read(0x0c) & 0x20 != 0)
        }
        #expect(edges == 10)
    }

    @Test func `an alarm that no time of day matches never comes`() {
        let rig = ClockRig()
        rig.write(0x25, to: 5)
        rig.write(0x22, to: 0x0b)
        #expect(rig.timer.pending == nil)
        rig.host.advance(by: .seconds(200_000))
        #expect(rig.read(0x0c) & 0x20 == 0)
    }

    @Test(.timeLimit(.minutes(10)), arguments: [(1, 0x60), (1, 0xbf), (3, 0x60), (3, 0x99), (5, 0x24), (5, 0x99)])
    func `an alarm that no clock shows never comes, and costs an access nothing`(register: UInt8, value: UInt8) {
        let rig = ClockRig()
        for index in [1, 3, 5] as [UInt8] { rig.write(0xff, to: index) }
        rig.write(value, to: register)
        rig.write(0x22, to: 0x0b)
        // Looking through a day each time would take many minutes.
        for _ in 0..<20_000 { _ = rig.read(0x0c) }
        #expect(rig.timer.pending == nil)
        rig.host.advance(by: .seconds(200_000))
        #expect(rig.read(0x0c) & 0x20 == 0)
    }

    @Test func `the update interrupt comes every second if it is served`() {
        let rig = ClockRig()
        rig.write(0x12, to: 0x0b)
        for _ in 0..<5 {
            rig.pass(.seconds(1))
            #expect(rig.line.takeEdges() == 1)
            #expect(rig.read(0x0c) & 0x90 == 0x90)
        }
        rig.pass(.seconds(5))
        #expect(rig.line.takeEdges() == 1)
    }

    @Test(arguments: [(0x26, 1024), (0x2f, 2), (0x21, 256), (0x22, 128), (0x23, 8192)] as [(UInt8, Int)])
    func `the periodic interrupt has the rate of register A`(a: UInt8, rate: Int) {
        let rig = ClockRig()
        rig.write(a, to: 0x0a)
        rig.write(0x42, to: 0x0b)
        var edges = 0
        for _ in 0..<rate {
            rig.pass(rig.timer.pending ?? .zero)
            edges += rig.line.takeEdges()
            #expect(rig.read(0x0c) & 0xc0 == 0xc0)
        }
        #expect(edges == rate)
        #expect(rig.read(0) == 0x59)
    }

    @Test func `a guest that does not serve its interrupt gets no second one`() {
        let rig = ClockRig()
        rig.write(0x42, to: 0x0b)
        rig.pass(.seconds(10))
        #expect(rig.line.takeEdges() == 1)
        #expect(rig.timer.pending == nil)
    }

    @Test func `a host clock that is set back is no event`() {
        let rig = ClockRig()
        _ = rig.read(0x0c)
        rig.host.advance(by: .seconds(-1000))
        #expect(rig.read(0x0c) == 0)
        #expect(rig.read(2) == 0x43)
    }

    @Test func `a snapshot keeps offset, memory and alarm`() {
        let rig = ClockRig()
        rig.set(0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59)
        rig.write(0x55, to: 0x40)
        rig.write(0x00, to: 1)
        rig.write(0x22, to: 0x0b)
        let copy = ClockRig(host: rig.host, state: rig.rtc.state)
        #expect(copy.rtc.state == rig.rtc.state)
        #expect(copy.time == [0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59])
        copy.rtc.timerFired()
        copy.pass(.seconds(1))
        #expect(copy.line.takeEdges() == 1)
        #expect(copy.time == [0x20, 0x00, 0x01, 0x01, 7, 0, 0, 0])
        #expect(copy.read(0x40) == 0x55)
    }

    @Test(arguments: [Int.min / 2, -62_000_000_000_000, -1, 0, 300_000_000_000, .max / 2])
    func `any host time is answered`(seconds: Int) {
        let rig = ClockRig(host: ManualClock(secondsSince1970: seconds))
        #expect(rig.time.count == 8)
        rig.write(0xff, to: 0x0b)
        rig.write(0x7f, to: 0x0b)
        rig.rtc.timerFired()
    }
}

@Suite struct CivilTimeTests {
    @Test(arguments: [
        (0, CivilTime(year: 1970, month: 1, day: 1), 5),
        (951_782_400, CivilTime(year: 2000, month: 2, day: 29), 3),
        (1_709_164_800, CivilTime(year: 2024, month: 2, day: 29), 5),
        (2_147_483_647, CivilTime(year: 2038, month: 1, day: 19, hour: 3, minute: 14, second: 7), 3),
        (2_147_483_648, CivilTime(year: 2038, month: 1, day: 19, hour: 3, minute: 14, second: 8), 3),
        (4_107_542_400, CivilTime(year: 2100, month: 3, day: 1), 2),
        (253_402_300_799, CivilTime(year: 9999, month: 12, day: 31, hour: 23, minute: 59, second: 59), 6),
        (-1, CivilTime(year: 1969, month: 12, day: 31, hour: 23, minute: 59, second: 59), 4),
    ])
    func `known moments have their known dates`(seconds: Int, time: CivilTime, weekday: Int) {
        #expect(CivilTime(secondsSince1970: seconds) == time)
        #expect(time.secondsSince1970 == seconds)
        #expect(time.weekday == weekday)
    }

    @Test func `every day of eight centuries follows the one before`() {
        var time = CivilTime(year: 1600, month: 1, day: 1)
        let first = time.secondsSince1970 / 86_400
        for day in first..<first + 2 * 146_097 {
            #expect(CivilTime(secondsSince1970: day * 86_400) == time)
            time = Self.dayAfter(time)
        }
        #expect(time == CivilTime(year: 2400, month: 1, day: 1))
    }

    private static func dayAfter(_ time: CivilTime) -> CivilTime {
        let isLeap = time.year % 4 == 0 && (time.year % 100 != 0 || time.year % 400 == 0)
        let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        var next = time
        next.day += 1
        guard next.day > days[next.month - 1] else { return next }
        next.day = 1
        next.month += 1
        guard next.month > 12 else { return next }
        next.month = 1
        next.year += 1
        return next
    }

    @Test(arguments: [(2026, 2, 31, 3, 3), (2026, 0, 1, 1, 1), (2026, 13, 1, 12, 1), (2026, 3, 0, 2, 28)])
    func `fields beyond their range are no trap`(year: Int, month: Int, day: Int, newMonth: Int, newDay: Int) {
        let seconds = CivilTime(year: year, month: month, day: day).secondsSince1970
        #expect(CivilTime(secondsSince1970: seconds) == CivilTime(year: year, month: newMonth, day: newDay))
    }
}
