// SPDX-License-Identifier: Apache-2.0

import Storage
import Synchronization

/// Another disk that waits to take the place of a device's: handed over without the device's lock.
final class BlockReplacement: Sendable {
    // Unchecked, because the engine has one owner at a time: its maker, this order, then the handler under its lock.
    private struct Order: @unchecked Sendable {
        let disk: DiskProperties
        let engine: any StorageEngine
    }

    private let order = Mutex<Order?>(nil)
    /// All that a request costs while there is none.
    private let isPending = Atomic<Bool>(false)

    /// Orders the change; replaces an order that was not taken yet.
    func order(_ disk: DiskProperties, _ engine: sending any StorageEngine) {
        let order = Order(disk: disk, engine: engine)
        self.order.withLock { $0 = order }
        isPending.store(true, ordering: .releasing)
    }

    /// Takes the order, where there is one.
    func take() -> (DiskProperties, any StorageEngine)? {
        guard isPending.load(ordering: .acquiring) else { return nil }
        isPending.store(false, ordering: .relaxed)
        return order.withLock { $0.take() }.map { ($0.disk, $0.engine) }
    }
}
