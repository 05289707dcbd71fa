// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Synchronization

/// A value behind a lock, with threads that wait until it is as they want it.
final class Guarded<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var waiters: [DispatchSemaphore] = []
    }

    private let state: Mutex<State>

    init(_ value: Value) {
        state = Mutex(State(value: value))
    }

    func withLock<R: Sendable>(_ body: (Value) -> R) -> R {
        state.withLock { body($0.value) }
    }

    /// Changes the value and wakes all who wait.
    func change(_ body: (inout Value) -> Void) {
        state.withLock { state in
            body(&state.value)
            for waiter in state.waiters { waiter.signal() }
            state.waiters.removeAll(keepingCapacity: true)
        }
    }

    /// - Returns: Whether `condition` came to hold in time.
    func wait(within duration: Duration, until condition: (Value) -> Bool) -> Bool {
        let end = DispatchTime.now() + .milliseconds(Int(duration.components.seconds) * 1000)
        while true {
            let waiter = DispatchSemaphore(value: 0)
            let holds = state.withLock { state in
                if condition(state.value) { return true }
                state.waiters.append(waiter)
                return false
            }
            if holds { return true }
            if waiter.wait(timeout: end) == .timedOut { return withLock(condition) }
        }
    }
}
