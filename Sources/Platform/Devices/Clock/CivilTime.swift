// SPDX-License-Identifier: Apache-2.0

/// A date and a time of day in UTC, in the proleptic Gregorian calendar.
struct CivilTime: Hashable, Sendable {
    var year: Int
    /// 1 to 12.
    var month: Int
    /// 1 to 31.
    var day: Int
    var hour: Int
    var minute: Int
    var second: Int

    static let secondsPerDay = 86_400
    /// 400 years repeat exactly.
    private static let daysPerEra = 146_097
    /// From 0000-03-01 to 1970-01-01.
    private static let daysToEpoch = 719_468

    init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// The moment so many seconds after 1970-01-01 00:00:00 UTC, leap seconds not counted.
    init(secondsSince1970 seconds: Int) {
        let (days, timeOfDay) = Self.floorDivide(seconds, by: Self.secondsPerDay)
        // Years are counted from 1 March, so that the leap day is the last day of its year.
        let (era, dayOfEra) = Self.floorDivide(days + Self.daysToEpoch, by: Self.daysPerEra)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        hour = timeOfDay / 3600
        minute = timeOfDay / 60 % 60
        second = timeOfDay % 60
    }

    /// The way back; fields beyond their range count on (31 February is 2 or 3 March), a month is forced into its own.
    var secondsSince1970: Int {
        let month = min(max(self.month, 1), 12)
        let yearFromMarch = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = Self.floorDivide(yearFromMarch, by: 400)
        let monthFromMarch = month > 2 ? month - 3 : month + 9
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * Self.daysPerEra + dayOfEra - Self.daysToEpoch
        return days * Self.secondsPerDay + hour * 3600 + minute * 60 + second
    }

    /// 1 for Sunday to 7 for Saturday, as the MC146818 counts.
    var weekday: Int {
        let days = Self.floorDivide(secondsSince1970, by: Self.secondsPerDay).quotient
        return Self.floorDivide(days + 4, by: 7).remainder + 1  // 1970-01-01 was a Thursday
    }

    private static func floorDivide(_ value: Int, by divisor: Int) -> (quotient: Int, remainder: Int) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
