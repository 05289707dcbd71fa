// SPDX-License-Identifier: Apache-2.0

/// The last bytes of a stream, each known by how many came before it.
struct ReplayRing {
    let capacity: Int
    /// How many bytes ever came.
    private(set) var end: UInt64 = 0
    /// Grows up to `capacity`; then the oldest byte gives way, at `end % capacity`.
    private var bytes: [UInt8] = []

    init(capacity: Int) {
        self.capacity = capacity
    }

    /// The oldest byte that is still here.
    var start: UInt64 { end - UInt64(bytes.count) }

    mutating func append(_ byte: UInt8) {
        if bytes.count < capacity {
            bytes.append(byte)
        } else {
            bytes[Int(end % UInt64(capacity))] = byte
        }
        end += 1
    }

    /// The bytes from `position` on, as far as they lie in one piece.
    ///
    /// - Parameters:
    ///   - position: Between `start` and `end`.
    ///   - limit: How many bytes at most.
    /// - Returns: Nothing only where `position` is the end.
    func piece(from position: UInt64, limit: Int) -> ArraySlice<UInt8> {
        let first = Int(position % UInt64(capacity))
        let count = min(Int(end - position), bytes.count - first, limit)
        return bytes[first..<first + count]
    }
}
