// SPDX-License-Identifier: Apache-2.0

/// At most 16 bytes in order, in place: the output buffer of a keyboard.
struct ByteQueue {
    static let capacity = 16

    private var storage = [16 of UInt8](repeating: 0)
    private var head = 0
    private(set) var count = 0

    init() {}

    /// As many of `bytes` as fit.
    init(_ bytes: some Sequence<UInt8>) {
        for byte in bytes.prefix(Self.capacity) {
            _ = append(byte)
        }
    }

    var room: Int { Self.capacity - count }

    /// The bytes, first in first; for snapshots.
    var bytes: [UInt8] { (0..<count).map { storage[(head + $0) % Self.capacity] } }

    /// - Returns: False, and nothing is changed, if the queue is full.
    mutating func append(_ byte: UInt8) -> Bool {
        guard room > 0 else { return false }
        storage[(head + count) % Self.capacity] = byte
        count += 1
        return true
    }

    /// Puts a byte before all others; the queue must have room.
    mutating func prepend(_ byte: UInt8) {
        precondition(room > 0, "the queue is full")
        head = (head + Self.capacity - 1) % Self.capacity
        storage[head] = byte
        count += 1
    }

    mutating func popFirst() -> UInt8? {
        guard count > 0 else { return nil }
        defer {
            head = (head + 1) % Self.capacity
            count -= 1
        }
        return storage[head]
    }

    mutating func removeAll() { count = 0 }
}
