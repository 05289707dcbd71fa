// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Host
import MachineModel
package import Snapshot
import Synchronization

/// The foundation of a machine, which a thread of its own makes while the state of a snapshot is read.
///
/// The kernel takes longer for the one than this process does for the other.
package final class HeadStart: Sendable {
    private final class Outcome: Sendable {
        let result = Mutex<Result<MachineFoundation, MachineError>?>(nil)
    }

    private let outcome = Outcome()
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
        let outcome = outcome
        thread = try? HostThread("kvm") {
            let result = Result { () throws(MachineError) in try MachineFoundation(memory: byteCount) }
            outcome.result.withLock { $0 = result }
        }
    }

    /// Waits for the foundation.
    ///
    /// - Parameter byteCount: The size of memory that it has to have.
    /// - Returns: The foundation, once; `nil` where there is none of this size.
    /// - Throws: What the host did not give.
    func take(memory byteCount: UInt64) throws(MachineError) -> MachineFoundation? {
        thread?.join()
        let foundation = try outcome.result.withLock { $0.take() }?.get()
        return foundation?.memory.byteCount == byteCount ? foundation : nil
    }
}
