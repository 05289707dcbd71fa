// SPDX-License-Identifier: Apache-2.0

/// Some of a device's virtqueues, as bits.
struct QueueSet: Hashable {
    private(set) var bits: UInt64 = 0

    /// The greatest number of a device's virtqueues.
    static let capacity = 64

    var isEmpty: Bool { bits == 0 }

    func isOnly(_ queue: Int) -> Bool { bits == 1 << UInt64(queue) }

    func contains(_ queue: Int) -> Bool { bits & 1 << UInt64(queue) != 0 }

    mutating func insert(_ queue: Int) { bits |= 1 << UInt64(queue) }

    mutating func formUnion(_ other: Self) { bits |= other.bits }

    mutating func removeAll() { bits = 0 }

    /// Takes the first of the set at or after `start`, or the first of all where there is none.
    mutating func popFirst(from start: Int) -> Int? {
        guard bits != 0 else { return nil }
        let later = (bits >> UInt64(start)) << UInt64(start)
        let queue = (later == 0 ? bits : later).trailingZeroBitCount
        bits &= ~(1 << UInt64(queue))
        return queue
    }
}
