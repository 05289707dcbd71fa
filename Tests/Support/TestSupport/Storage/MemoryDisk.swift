// SPDX-License-Identifier: Apache-2.0

import Host
package import Storage
import Synchronization
package import SystemPackage

/// A disk in plain memory: as fast as a disk can be, and as broken as a test wants it.
package final class MemoryDisk: Sendable {
    struct State {
        var bytes: [UInt8]
        var log: [String] = []
        var keepsLog = true
        var failure: (offset: UInt64, error: Errno)?
        var isHolding = false
    }

    let state: Mutex<State>
    let event: EventFD

    package init(byteCount: Int) throws(Errno) {
        state = Mutex(State(bytes: Array(repeating: 0, count: byteCount)))
        event = try EventFD()
    }

    /// A copy of all that is on it.
    package var bytes: [UInt8] { state.withLock { $0.bytes } }

    /// The requests to it, in order: `write(isDurable: false) 512+1024`.
    package var log: [String] { state.withLock { $0.log } }

    /// Keeps no log any more, for benchmarks.
    package func stopLog() {
        state.withLock { $0.keepsLog = false }
    }

    /// From now on everything that touches a byte at or beyond `offset` fails with `error`; `nil` for nothing.
    package func fail(from offset: UInt64 = 0, with error: Errno?) {
        state.withLock { state in state.failure = error.map { (offset, $0) } }
    }

    /// Holds back what is asked of it from now on, so that it stays in flight.
    package func hold() {
        state.withLock { $0.isHolding = true }
    }

    /// Does what was held back, last first, and says so by the completion event.
    package func release() {
        state.withLock { $0.isHolding = false }
        event.signal()
    }

    /// An engine in front of it.
    package func makeEngine(capacity: Int = 256) -> sending any StorageEngine {
        MemoryStorageEngine(self, capacity: capacity)
    }
}
