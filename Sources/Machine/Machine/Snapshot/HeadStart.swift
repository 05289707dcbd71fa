// SPDX-License-Identifier: Apache-2.0

import Dispatch
import GuestMemory
import Host
import KVM
import MachineModel
package import Snapshot
import Synchronization

/// KVM's part of a saved machine, which a thread of its own makes beside whatever else a start has to do.
///
/// It makes the machine while the state of the snapshot is read, and gives it that state while the rest of the process gets ready.
package final class HeadStart: Sendable {
    private final class Work: Sendable {
        let order = Mutex<Order?>(nil)
        let hasOrder = DispatchSemaphore(value: 0)
        let result = Mutex<Result<RestoredFoundation, MachineError>?>(nil)

        func give(_ order: Order?) {
            self.order.withLock { $0 = order }
            hasOrder.signal()
        }

        func perform(memory byteCount: UInt64) {
            let foundation = Result { () throws(MachineError) in try MachineFoundation(memory: byteCount) }
            let host = HostDescription.current()
            hasOrder.wait()
            guard let order = order.withLock({ $0.take() }), order.snapshot.machine.memory.byteCount == byteCount else {
                return
            }
            let result = Result { () throws(MachineError) in
                try RestoredFoundation(order.snapshot, clock: order.clock, host: host, foundation: foundation.get())
            }
            self.result.withLock { $0 = result }
        }
    }

    private struct Order {
        var snapshot: MachineSnapshot
        var clock: ClockContinuation
    }

    private let work = Work()
    private let thread: HostThread?

    /// Starts; where the host gives no thread, or there is no such snapshot, nothing is made.
    ///
    /// - Parameter place: The snapshot's files. The size of its memory is taken from there, and decides nothing: one that is not
    ///   that of the state is of no use.
    package init(for place: SnapshotPlace) {
        let limit = UInt64(MachineSize.maximumMemoryMiB) << 20
        guard let byteCount = place.memoryByteCount, (1...limit).contains(byteCount) else {
            thread = nil
            return
        }
        let work = work
        thread = try? HostThread("kvm") { work.perform(memory: byteCount) }
    }

    deinit {
        // The thread waits for an order.
        work.give(nil)
    }

    /// Has the machine get its state.
    ///
    /// - Parameters:
    ///   - snapshot: The snapshot, whose state was read by now.
    ///   - options: The wishes of whoever lets it go on.
    package func restore(_ snapshot: MachineSnapshot, _ options: RestoreOptions) {
        work.give(Order(snapshot: snapshot, clock: options.clock))
    }

    /// Waits for the machine.
    ///
    /// - Returns: The machine, once; `nil` where there is none that `restore` was called for.
    /// - Throws: What keeps it from going on here.
    func take() throws(MachineError) -> RestoredFoundation? {
        work.hasOrder.signal()
        thread?.join()
        return try work.result.withLock { $0.take() }?.get()
    }
}
