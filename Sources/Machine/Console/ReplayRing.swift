// SPDX-License-Identifier: Apache-2.0

/// The last bytes of a stream, each with its position in the stream.
struct ReplayRing {
    let capacity: Int
    /// The number of bytes that ever came.
    private(set) var end: UInt64
    /// Grows up to `capacity`; then the oldest byte, at `oldest`, gives way.
    private var bytes: [UInt8]
    private var oldest = 0

    /// Makes a ring.
    ///
    /// `bytes` are the last ones of a stream that continues, `end` is its length.
    init(capacity: Int, bytes: [UInt8] = [], end: UInt64 = 0) {
        self.capacity = capacity
        self.bytes = Array(bytes.suffix(capacity))
        self.end = max(end, UInt64(bytes.count))
    }

    /// The oldest byte that is still here.
    var start: UInt64 { end - UInt64(bytes.count) }

    mutating func append(_ byte: UInt8) {
        if bytes.count < capacity {
            bytes.append(byte)
        } else {
            bytes[oldest] = byte
            oldest = oldest + 1 == capacity ? 0 : oldest + 1
        }
        end += 1
    }

    /// Counts a byte that nobody will read; the ring is empty.
    mutating func skip() {
        end += 1
    }

    /// Copies bytes, so that the ring can be written meanwhile.
    ///
    /// `position` lies between `start` and `end`. The bytes take the place of the buffer's contents.
    func copy(from position: UInt64, limit: Int, into buffer: inout [UInt8]) {
        buffer.removeAll(keepingCapacity: true)
        var index = oldest + Int(position - start)
        if index >= bytes.count { index -= bytes.count }
        var left = min(Int(end - position), limit)
        while left > 0 {
            let count = min(left, bytes.count - index)
            buffer += bytes[index..<index + count]
            left -= count
            index = 0
        }
    }

    /// Forgets all bytes; those that come have their numbers.
    mutating func forget() {
        bytes.removeAll(keepingCapacity: true)
        oldest = 0
    }
}
