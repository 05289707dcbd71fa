// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A point in time, on the clock that no one sets.
struct Moment: Comparable, Sendable {
    /// Since some point in the past that is the same for all.
    let seconds: Double

    static var now: Moment {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Moment(seconds: Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9)
    }

    static func < (left: Moment, right: Moment) -> Bool { left.seconds < right.seconds }

    static func - (left: Moment, right: Moment) -> Double { left.seconds - right.seconds }

    static func + (moment: Moment, seconds: Double) -> Moment { Moment(seconds: moment.seconds + seconds) }
}
