// SPDX-License-Identifier: Apache-2.0

import Devices

/// The typed input that the guest has not taken yet: feeds a serial port as fast as the guest takes it.
struct SerialFeed {
    /// The number of bytes that are kept ahead of the guest.
    ///
    /// Generous, because an escape command after it is only seen when it is read.
    static let capacity = 1 << 20

    private var bytes: [UInt8]
    /// Before which of the bytes a break comes, in order.
    private var lineBreaks: [Int]
    /// Indicates whether the input has ended; delivered once, after all bytes.
    private var hasEnded = false
    /// Indicates whether anything was typed at all.
    private(set) var isUsed = false
    /// The bytes before are the guest's.
    private var taken = 0

    init(bytes: [UInt8] = [], lineBreaks: [Int] = []) {
        self.bytes = Array(bytes.prefix(Self.capacity))
        let end = self.bytes.count
        self.lineBreaks = lineBreaks.prefix(Self.capacity).map { min(max($0, 0), end) }.sorted()
    }

    /// The number of bytes that are taken at once; senders wait for more room, so nothing is lost.
    var room: Int { max(0, Self.capacity - (bytes.count - taken) - lineBreaks.count) }

    mutating func append(_ byte: UInt8) {
        isUsed = true
        bytes.append(byte)
    }

    mutating func append(_ more: some Collection<UInt8>) {
        if !more.isEmpty { isUsed = true }
        bytes += more
    }

    /// Sends a break after earlier input; does nothing without room.
    mutating func appendLineBreak() {
        if room > 0 { lineBreaks.append(bytes.count) }
    }

    /// Ends the input, after earlier bytes.
    mutating func appendEnd() {
        hasEnded = true
    }

    /// The bytes that the guest has not taken.
    var waiting: (bytes: [UInt8], lineBreaks: [Int]) {
        (Array(bytes[taken...]), lineBreaks.map { $0 - taken })
    }

    /// Gives the port as much as it takes, and reports a silent line when there is nothing more.
    mutating func deliver(to port: any ConsolePort) {
        while true {
            if let next = lineBreaks.first, next == taken {
                guard port.receiveBreak() else { return }
                lineBreaks.removeFirst()
                continue
            }
            // The port takes no more than its FIFO holds.
            let end = min(taken + 16, lineBreaks.first ?? .max, bytes.count)
            let count = port.receive(bytes.span.extracting(taken..<end))
            let isEnough = taken == end || taken + count < end
            taken += count
            if isEnough { break }
        }
        if hasEnded, taken == bytes.count, lineBreaks.isEmpty {
            hasEnded = false
            port.receiveEnd()
        }
        guard taken == bytes.count || taken >= Self.capacity / 2 else { return }
        lineBreaks = lineBreaks.map { $0 - taken }
        // The room of a large piece is given back.
        if taken == bytes.count { bytes = [] } else { bytes.removeFirst(taken) }
        taken = 0
    }
}
