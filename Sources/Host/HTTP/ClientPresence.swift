// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Indicates whether the client of a request is still there, for the code that works on the answer.
final class ClientPresence: Sendable {
    private enum State {
        case here([@Sendable () -> Void])
        case gone
        case answered
    }

    private let state = Mutex(State.here([]))

    /// Has `action` called once the client is gone: at once if it is, never if it got its answer.
    func onGone(_ action: @escaping @Sendable () -> Void) {
        let isGone = state.withLock { state in
            switch state {
            case .here(let actions):
                state = .here(actions + [action])
                return false
            case .gone: return true
            case .answered: return false
            }
        }
        if isGone { action() }
    }

    /// The client has hung up.
    func leave() {
        for action in end(.gone) { action() }
    }

    /// The answer was given; what waited for the client to go waits no more.
    func settle() {
        _ = end(.answered)
    }

    private func end(_ new: State) -> [@Sendable () -> Void] {
        state.withLock { state in
            guard case .here(let actions) = state else { return [] }
            state = new
            return actions
        }
    }
}
