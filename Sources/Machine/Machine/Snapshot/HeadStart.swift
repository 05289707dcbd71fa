// SPDX-License-Identifier: Apache-2.0

import Dispatch
import GuestMemory
import Host
import KVM
import MachineModel
package import Snapshot
import Synchronization

/// KVM's part of a saved machine, which a thread of its own makes beside whatever else a start must do.
///
/// It makes the machine while the state of the snapshot is read, and gives it that state while the devices are made.
package final class HeadStart: Sendable {
    private final class Work: Sendable {
        let memoryByteCount: UInt64
        let foundation = Mutex<Result<MachineFoundation, MachineError>?>(nil)
        let hasFoundation = DispatchSemaphore(value: 0)
        let order = Mutex<Order?>(nil)
        let hasOrder = DispatchSemaphore(value: 0)
        let vcpus = Mutex<Result<[KVMVCPU], MachineError>?>(nil)
        let isDone = DispatchSemaphore(value: 0)

        init(memory byteCount: UInt64) {
            memoryByteCount = byteCount
        }

        func give(_ order: Order?) {
            self.order.withLock { $0 = order }
            hasOrder.signal()
        }

        func perform() {
            defer { isDone.signal() }
            let foundation = Result { () throws(MachineError) in try MachineFoundation(memory: memoryByteCount) }
            self.foundation.withLock { $0 = foundation }
            hasFoundation.signal()
            let host = HostDescription.current()
            hasOrder.wait()
            guard let order = order.withLock({ $0.take() }), case .success(let foundation) = foundation else { return }
            let result = Result { () throws(MachineError) in
                try foundation.restore(order.snapshot, clock: order.clock, host: host)
            }
            vcpus.withLock { $0 = result }
        }
    }

    private struct Order {
        var snapshot: MachineSnapshot
        var clock: ClockContinuation
    }

    private let work: Work
    private let thread: HostThread?

    /// Starts; where the host gives no thread, or there is no such snapshot, nothing is made.
    ///
    /// - Parameter place: The snapshot's files. The size of its memory is taken from there, and decides nothing: one that is not
    ///   that of the state is of no use.
    package init(for place: SnapshotPlace) {
        let limit = UInt64(MachineSize.maximumMemoryMiB) << 20
        let byteCount = place.memoryByteCount ?? 0
        let work = Work(memory: byteCount)
        self.work = work
        HostThread.leaveFirstProcessor()
        thread = (1...limit).contains(byteCount) ? try? HostThread("kvm") { work.perform() } : nil
    }

    deinit {
        // The thread waits for an order.
        work.give(nil)
    }

    /// Starts the restore of the machine's state.
    ///
    /// - Parameters:
    ///   - snapshot: The snapshot, whose state was read by now.
    ///   - options: The options of the restore.
    package func restore(_ snapshot: MachineSnapshot, _ options: RestoreOptions) {
        guard snapshot.machine.memory.byteCount == work.memoryByteCount else { return }
        work.give(Order(snapshot: snapshot, clock: options.clock))
    }

    /// Gives the machine up, and waits until nothing of it is left.
    package func cancel() {
        work.give(nil)
        thread?.join()
    }

    /// Waits until the machine has the state that `restore` gave; the machine can still be taken.
    package func wait() {
        thread?.join()
    }

    /// Waits for the machine, which gets its state from `restore` meanwhile.
    ///
    /// - Returns: The machine, once; `nil` where none of that size is being made.
    /// - Throws: The host's error.
    func takeFoundation(memory byteCount: UInt64) throws(MachineError) -> MachineFoundation? {
        guard thread != nil, byteCount == work.memoryByteCount else { return nil }
        work.hasFoundation.wait()
        // A later caller gets nothing, and does not wait.
        defer { work.hasFoundation.signal() }
        return try work.foundation.withLock { $0.take() }?.get()
    }

    /// Waits until the machine has the state that `restore` gave.
    ///
    /// - Returns: Its vCPUs, once; `nil` where it was given none.
    /// - Throws: The reason why it cannot be restored here.
    func takeVCPUs() throws(MachineError) -> [KVMVCPU]? {
        // Without an order, the thread does not wait.
        work.hasOrder.signal()
        // To join the thread would be to wait for its stack to go as well.
        if thread != nil { work.isDone.wait() }
        defer { work.isDone.signal() }
        return try work.vcpus.withLock { $0.take() }?.get()
    }
}
