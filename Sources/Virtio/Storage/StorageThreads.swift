// SPDX-License-Identifier: Apache-2.0

package import Host
import Synchronization

/// The threads of one disk, for what its engine cannot do at once.
///
/// They start before the guest runs, and serve one engine after the other: a disk gets another one with another file.
package final class StorageThreads: Sendable {
    /// As many as may wait for the disk at a time.
    static let maximum = 24

    private struct State {
        var threads: [WorkThread] = []
        var isStarted = false
    }

    private let name: String
    private let state = Mutex(State())

    /// Makes a set of threads, which is empty until an engine needs some.
    package init(_ name: String) {
        self.name = name
    }

    /// Starts the threads, where an engine needs them; none is made after that.
    ///
    /// - Parameter gate: Holds them until all of the machine's threads are there.
    /// - Throws: `HostThreadError`.
    package func start(gate: StartGate? = nil) throws(HostThreadError) {
        let threads = state.withLock { state in
            state.isStarted = true
            return state.threads
        }
        for thread in threads { try thread.start(gate: gate) }
    }

    /// The threads for an engine; empty for one that needs them only after the start.
    func forEngine() -> [WorkThread] {
        state.withLock { state in
            if !state.isStarted, state.threads.isEmpty {
                state.threads = (0..<Self.maximum).map { WorkThread("\(name) io \($0)") }
            }
            return state.threads
        }
    }

    /// Makes threads that run already, for a disk outside a machine; none where the host has none left.
    static func started() -> StorageThreads {
        let made = StorageThreads("disk")
        _ = made.forEngine()
        do throws(HostThreadError) {
            try made.start()
        } catch {
            made.state.withLock { $0.threads = [] }
        }
        return made
    }
}
