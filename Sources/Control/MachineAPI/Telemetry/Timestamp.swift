// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A moment of the host's clock, UTC.
package struct Timestamp: Hashable, Sendable, CustomStringConvertible {
    /// Since 1970-01-01 00:00.
    package let millisecondsSinceEpoch: Int64
    /// The part beyond the milliseconds, below 1,000,000.
    private var nanoseconds: Int64 = 0

    package init(millisecondsSinceEpoch: Int64) {
        self.millisecondsSinceEpoch = millisecondsSinceEpoch
    }

    package static var now: Timestamp {
        var now = timespec()
        // Fails for no clock that every kernel has.
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        var time = Timestamp(millisecondsSinceEpoch: Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000)
        time.nanoseconds = Int64(now.tv_nsec) % 1_000_000
        return time
    }

    /// As ISO 8601 has it: `2026-11-21T07:43:22.123Z`.
    package var description: String { "\(secondsText).\(Self.padded(millisecondsSinceEpoch % 1000, 3))Z" }

    /// As Firecracker's log has it: `2026-11-21T07:43:22.123456789`, UTC.
    package var logText: String {
        "\(secondsText).\(Self.padded(millisecondsSinceEpoch % 1000 * 1_000_000 + nanoseconds, 9))"
    }

    private var secondsText: String {
        var seconds = time_t(millisecondsSinceEpoch / 1000)
        var fields = unsafe tm()
        unsafe gmtime_r(&seconds, &fields)
        let (year, month, day) = unsafe (fields.tm_year + 1900, fields.tm_mon + 1, fields.tm_mday)
        let (hour, minute, second) = unsafe (fields.tm_hour, fields.tm_min, fields.tm_sec)
        let date = "\(Self.padded(year, 4))-\(Self.padded(month, 2))-\(Self.padded(day, 2))"
        return "\(date)T\(Self.padded(hour, 2)):\(Self.padded(minute, 2)):\(Self.padded(second, 2))"
    }

    /// A number with zeros in front.
    private static func padded(_ number: some BinaryInteger, _ count: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, count - digits.count)) + digits
    }
}
