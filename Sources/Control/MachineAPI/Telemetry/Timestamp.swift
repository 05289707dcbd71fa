// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A moment of the host's clock, UTC.
package struct Timestamp: Hashable, Sendable, CustomStringConvertible {
    /// Since 1970-01-01 00:00.
    package let millisecondsSinceEpoch: Int64

    package init(millisecondsSinceEpoch: Int64) {
        self.millisecondsSinceEpoch = millisecondsSinceEpoch
    }

    package static var now: Timestamp {
        var now = timespec()
        // Fails for no clock that every kernel has.
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return Timestamp(millisecondsSinceEpoch: Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000)
    }

    /// As ISO 8601 has it: `2026-11-21T07:43:22.123Z`.
    package var description: String {
        var seconds = time_t(millisecondsSinceEpoch / 1000)
        var fields = unsafe tm()
        unsafe gmtime_r(&seconds, &fields)
        /// With zeros in front.
        func padded(_ number: some BinaryInteger, _ count: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, count - digits.count)) + digits
        }
        let (year, month, day) = unsafe (fields.tm_year + 1900, fields.tm_mon + 1, fields.tm_mday)
        let (hour, minute, second) = unsafe (fields.tm_hour, fields.tm_min, fields.tm_sec)
        let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
        let time = "\(padded(hour, 2)):\(padded(minute, 2)):\(padded(second, 2))"
        return "\(date)T\(time).\(padded(millisecondsSinceEpoch % 1000, 3))Z"
    }
}
