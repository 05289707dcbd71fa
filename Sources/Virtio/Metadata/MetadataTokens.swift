// SPDX-License-Identifier: Apache-2.0

import Host

/// The session tokens that the guest's programs have asked for.
///
/// They are random and kept here alone, so a machine that is restored from a snapshot, or a second one, knows none of them.
struct MetadataTokens {
    /// The seconds for which a token may be valid.
    static let lifetimes: ClosedRange<UInt32> = 1...21_600
    /// The greatest number of tokens: a guest that wants more loses the one that would end first.
    static let countMaximum = 1024

    private var ends: [String: ContinuousClock.Instant] = [:]

    /// Makes a token.
    mutating func make(seconds: UInt32, now: ContinuousClock.Instant) throws(MetadataError) -> String {
        guard Self.lifetimes.contains(seconds) else { throw .badLifetime(seconds) }
        if ends.count >= Self.countMaximum {
            ends = ends.filter { $0.value > now }
            if ends.count >= Self.countMaximum, let first = ends.min(by: { $0.value < $1.value }) {
                ends[first.key] = nil
            }
        }
        var generator = SystemRandomNumberGenerator()
        let token = Base64((0..<33).map { _ in UInt8.random(in: 0...255, using: &generator) }).text
        ends[token] = now + .seconds(seconds)
        return token
    }

    /// Returns whether a token is valid.
    func isValid(_ token: String, now: ContinuousClock.Instant) -> Bool {
        ends[token].map { $0 > now } ?? false
    }
}
