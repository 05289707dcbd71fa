// SPDX-License-Identifier: Apache-2.0

import Storage

/// Rate limits for received data, whose size is known only when it has arrived.
///
/// Each checks first whether there is a limit: to change an array's element costs much more than to read it.
extension ServedQueues {
    /// The time that arriving data must wait before it is read, or `nil` where it may be read now.
    mutating func delay(limiter: Int) -> Duration? {
        limiters[limiter] == nil ? nil : limiters[limiter]?.delay(at: .now)
    }

    /// Counts read data; an excess over the limit delays later data.
    mutating func charge(byteCount: Int, limiter: Int) {
        turnByteCount -= byteCount
        guard limiters[limiter] != nil else { return }
        limiters[limiter]?.charge(bytes: UInt64(byteCount), operations: 1)
    }
}
