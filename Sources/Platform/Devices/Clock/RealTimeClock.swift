// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A timer of the host, as a device needs it.
package protocol DeviceTimer: Sendable {
    /// Calls the device back once after `delay`, from any thread; nil: never. A call replaces an earlier one.
    ///
    /// Comes from vCPU threads. It must not block, nor call the device from within.
    func schedule(after delay: Duration?)
}

/// The clock and CMOS RAM of a PC at ports 0x70 (index) and 0x71 (data): a Motorola MC146818A with 128 bytes and a
/// century byte.
///
/// The time is the host's UTC plus an offset that the guest makes when it sets the clock. The periodic, alarm and
/// update-ended events appear in register C when it is read, and as interrupts while they are enabled, for which the
/// host lends a `DeviceTimer`. The timer runs only while an enabled interrupt is not yet requested: a guest that does
/// not serve its interrupts costs nothing.
///
/// Setting single time registers without the SET bit works on a running clock, so that each write is a valid date of
/// its own; guests that set a whole date use SET, as the datasheet demands.
package final class RealTimeClock: ByteWideDevice {
    private enum Port: UInt64 {
        case index = 0
        case data = 1
    }

    /// Held while the timer is set, so that an older wish cannot replace a newer one.
    ///
    /// Acquired before `core`, which is never held across a call out; `DeviceTimer` must not call back from within
    /// `schedule(after:)`.
    private let scheduling = Mutex(())
    private let core: Mutex<ClockCore>
    private let isPaused = Atomic<Bool>(false)
    private let clock: @Sendable () -> Duration
    private let interrupt: any InterruptLine
    private let timer: (any DeviceTimer)?
    private let faults: GuestFaultLog

    /// - Parameters:
    ///   - state: Where to go on.
    ///   - interrupt: Triggered on each rising edge of the interrupt request.
    ///   - timer: Has to call `timerFired()`. Without one, interrupts come only when the guest touches the clock.
    ///   - faults: The log of guest errors.
    ///   - clock: The host's UTC as time since 1970-01-01 00:00; read on vCPU threads.
    package init(
        state: RealTimeClockState = RealTimeClockState(),
        interrupt: any InterruptLine,
        timer: (any DeviceTimer)? = nil,
        faults: GuestFaultLog = GuestFaultLog(device: "real-time clock"),
        clock: @escaping @Sendable () -> Duration
    ) {
        self.core = Mutex(ClockCore(state))
        self.interrupt = interrupt
        self.timer = timer
        self.faults = faults
        self.clock = clock
    }

    /// The state for a snapshot.
    ///
    /// After `init(state:…)` from it, call `timerFired()` once to set the timer going.
    package var state: RealTimeClockState { core.withLock { $0.state } }

    /// Restores a state, once the machine can take interrupts.
    package func restore(_ state: RealTimeClockState) {
        core.withLock { $0 = ClockCore(state) }
        timerFired()
        if state.interruptLevel { interrupt.trigger() }
    }

    /// Lets the timer have no effect until `resume`; the guest does not run meanwhile.
    package func pause() {
        isPaused.store(true, ordering: .sequentiallyConsistent)
    }

    /// Resumes, with events that were due meanwhile.
    package func resume() {
        isPaused.store(false, ordering: .sequentiallyConsistent)
        timerFired()
    }

    package func readByte(at offset: UInt64) -> UInt8 {
        switch Port(rawValue: offset) {
        case .index:
            return 0xff  // write-only on a PC
        case .data:
            let now = ticks()
            return operate(at: now) { $0.read(at: now) }
        case nil:
            faults.record("read at offset \(offset)")
            return 0xff
        }
    }

    package func writeByte(_ value: UInt8, at offset: UInt64) {
        switch Port(rawValue: offset) {
        case .index:
            core.withLock { $0.select(value) }
        case .data:
            let now = ticks()
            operate(at: now) { $0.write(value, at: now) }
        case nil:
            faults.record("write at offset \(offset)")
        }
    }

    /// Tells the clock that its `DeviceTimer` has fired; harmless at any time.
    package func timerFired() {
        guard !isPaused.load(ordering: .sequentiallyConsistent) else { return }
        let now = ticks()
        operate(at: now, isTimer: true) { $0.evaluate(at: now) }
    }

    // MARK: - Outside the lock

    private func ticks() -> Int64 {
        let (seconds, attoseconds) = clock().components
        let limit = ClockCore.timeLimit / ClockCore.ticksPerSecond
        // One tick is 10^18 / 32768 attoseconds, a whole number.
        return min(max(seconds, -limit), limit) * ClockCore.ticksPerSecond + attoseconds / 30_517_578_125_000
    }

    private func operate<Result: Sendable>(
        at now: Int64,
        isTimer: Bool = false,
        _ operation: (inout ClockCore) -> Result
    ) -> Result {
        let (result, hasRisen, isDelayNew) = core.withLock { core in
            let before = core.ticksToInterrupt(at: now)
            let result = operation(&core)
            return (result, core.takeInterrupt(), isTimer || before != core.ticksToInterrupt(at: now))
        }
        if hasRisen { interrupt.trigger() }
        if isDelayNew, let timer { reschedule(timer) }
        return result
    }

    /// Asks the timer for the next interrupt.
    ///
    /// The last caller has seen the latest registers.
    private func reschedule(_ timer: any DeviceTimer) {
        let hasRisen = scheduling.withLock { _ in
            let now = ticks()
            let (delay, hasRisen) = core.withLock { core in
                core.evaluate(at: now)
                return (core.ticksToInterrupt(at: now), core.takeInterrupt())
            }
            timer.schedule(after: delay.map(Self.duration))
            return hasRisen
        }
        if hasRisen { interrupt.trigger() }
    }

    private static func duration(ofTicks ticks: Int64) -> Duration {
        let (seconds, fraction) = ticks.quotientAndRemainder(dividingBy: ClockCore.ticksPerSecond)
        return .seconds(seconds) + .nanoseconds((fraction * 1_000_000_000 + 32_767) / 32_768)
    }
}

/// Everything that must survive a snapshot of a `RealTimeClock`.
///
/// Time is counted in ticks of the clock's crystal, 32,768 a second, since 1970-01-01 00:00 UTC.
package struct RealTimeClockState: Codable, Hashable, Sendable {
    /// The byte that port 0x71 reads and writes.
    package var index: UInt8 = 0
    /// All 128 bytes of CMOS RAM; those of the time count only while the clock is stopped.
    package var memory: [UInt8] = ClockCore.initialMemory
    /// The guest's time less the host's, as the guest has set it.
    package var offset: Int64 = 0
    /// The guest's time up to which events are in register C; nil before the first look at the clock.
    package var evaluatedUntil: Int64?
    package var interruptLevel = false

    package init() {}
}
