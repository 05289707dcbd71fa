// SPDX-License-Identifier: Apache-2.0

import Devices

/// What was typed and the guest has not taken yet: feeds a serial port as fast as the guest takes it.
struct SerialFeed {
    /// How much is kept ahead of the guest.
    ///
    /// Generous, because an escape command behind it is only seen when it is read.
    static let capacity = 1 << 20

    private struct Item {
        var byte: UInt8
        var isLineBreak = false
    }

    private var items: [Item] = []
    /// The items before are the guest's.
    private var taken = 0

    private var waitingCount: Int { items.count - taken }

    /// Whether there is room for more; whoever sends waits meanwhile, so that nothing is lost.
    var hasRoom: Bool { waitingCount < Self.capacity }

    mutating func append(_ byte: UInt8) {
        items.append(Item(byte: byte))
    }

    mutating func appendLineBreak() {
        items.append(Item(byte: 0, isLineBreak: true))
    }

    /// Gives the port what it takes, and tells it when there is nothing more: the line is silent.
    mutating func deliver(to port: SerialPort) {
        while true {
            if taken < items.count, items[taken].isLineBreak {
                guard port.receiveBreak() else { return }
                taken += 1
                continue
            }
            // The port takes no more than its FIFO holds.
            let bytes = items[taken...].prefix(16).prefix { !$0.isLineBreak }.map(\.byte)
            let count = port.receive(bytes.span)
            taken += count
            if bytes.isEmpty || count < bytes.count { break }
        }
        if taken == items.count || taken >= Self.capacity / 2 {
            items.removeFirst(taken)
            taken = 0
        }
    }
}
