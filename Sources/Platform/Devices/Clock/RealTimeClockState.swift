// SPDX-License-Identifier: Apache-2.0

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
