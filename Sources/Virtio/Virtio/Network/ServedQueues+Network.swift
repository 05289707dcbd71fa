// SPDX-License-Identifier: Apache-2.0

import Storage

/// Rate limits for received data, whose size is known only when it has arrived.
extension ServedQueues {
    /// The time that arriving data has to wait before it is read, or `nil` where it may be read now.
    mutating func delay(limiter: Int) -> Duration? {
        limiters[limiter]?.delay(at: .now)
    }

    /// Counts what has been read; what is more than a limit allows delays what comes after it.
    mutating func charge(byteCount: Int, limiter: Int) {
        limiters[limiter]?.charge(bytes: UInt64(byteCount), operations: 1)
        turnByteCount -= byteCount
    }

    /// The number of writable bytes of `queue` that are reserved.
    func reservedByteCount(in queue: Int) -> Int { reserved[queue].byteCount }
}
