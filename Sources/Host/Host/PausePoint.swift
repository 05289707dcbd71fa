// SPDX-License-Identifier: Apache-2.0

package import Dispatch
import Synchronization

/// The place in a thread's loop at which others can hold it.
///
/// The thread calls `pass` in each round and `end` when it leaves its loop. Whoever holds it makes sure, after `hold`, that
/// the thread comes by: by a kick, or an event.
package final class PausePoint: Sendable {
    private struct State {
        var isWanted = false
        var isHolding = false
        var hasEnded = false
        /// Is entered until the thread stands here.
        var arrival: DispatchGroup?
    }

    private let state = Mutex(State())
    /// The same as `State.isWanted`: all that a round costs which is not held.
    private let isWanted = Atomic<Bool>(false)
    private let permission = DispatchSemaphore(value: 0)

    package init() {}

    /// Asks the thread to stop here; nothing where it does already, or has ended.
    ///
    /// - Parameter group: Is entered until the thread stands here, or has ended.
    package func hold(joining group: DispatchGroup) {
        state.withLock { state in
            guard !state.isWanted, !state.hasEnded else { return }
            group.enter()
            state.arrival = group
            state.isWanted = true
            isWanted.store(true, ordering: .sequentiallyConsistent)
        }
    }

    /// Lets the thread go on.
    package func release() {
        let (arrival, wasHolding) = state.withLock { state in
            defer { (state.arrival, state.isHolding, state.isWanted) = (nil, false, false) }
            isWanted.store(false, ordering: .sequentiallyConsistent)
            return (state.arrival, state.isHolding)
        }
        arrival?.leave()
        if wasHolding { permission.signal() }
    }

    /// Tells whether `pass` would hold the thread now: for a thread that has something to finish first.
    package var isHeld: Bool { isWanted.load(ordering: .sequentiallyConsistent) }

    /// Stands here for as long as somebody holds the thread.
    ///
    /// - Returns: Whether somebody did.
    package func pass() -> Bool {
        guard isWanted.load(ordering: .sequentiallyConsistent) else { return false }
        let (arrival, isHeld) = state.withLock { state in
            guard state.isWanted else { return (DispatchGroup?.none, false) }
            defer { state.arrival = nil }
            state.isHolding = true
            return (state.arrival, true)
        }
        arrival?.leave()
        if isHeld { permission.wait() }
        return isHeld
    }

    /// The thread comes by no more.
    package func end() {
        let arrival = state.withLock { state in
            defer { state.arrival = nil }
            state.hasEnded = true
            return state.arrival
        }
        arrival?.leave()
    }
}
