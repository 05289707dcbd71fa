// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Synchronization

/// The gate that all threads of a machine pass before its guest runs.
///
/// The starter announces each thread with `expect`; the thread calls `enter`, prepares itself, and waits. When all have come, the
/// starter opens the gate. Where one does not come, as under a limit of the host's, the starter closes the gate and all return.
/// A thread of Dispatch's serves others then: it prepares itself only once the gate is open, before any of them passes.
package final class StartGate: Sendable {
    /// A thread that was announced.
    package struct Ticket: Sendable {
        fileprivate let number: Int
        fileprivate let isBorrowed: Bool
        package let name: String
    }

    private struct State {
        var expectedCount = 0
        /// The threads that have not arrived, by number.
        var missing: [Int: String] = [:]
        var isOpen = false
        var isClosed = false
    }

    private let state = Mutex(State())
    /// Is entered for each thread that is missing.
    private let arrivals = DispatchGroup()
    /// Are entered until the gate is open or closed.
    ///
    /// That of borrowed threads is left first: they still have to prepare themselves, and the guest waits for them.
    private let (decision, decisionForBorrowed) = (DispatchGroup(), DispatchGroup())
    /// Is entered for each borrowed thread that is there and not prepared.
    private let preparation = DispatchGroup()
    private let prepare: @Sendable (String) -> Void

    /// Makes a gate that is shut.
    ///
    /// - Parameter prepare: Called on each thread with its name, before the thread counts as there: the place for what
    ///   a thread can do to itself alone, such as a seccomp filter.
    package init(prepare: @escaping @Sendable (String) -> Void = { _ in }) {
        self.prepare = prepare
        decision.enter()
        decisionForBorrowed.enter()
    }

    deinit {
        close()
        // A group must not be entered when it goes away.
        for _ in state.withLock({ $0.missing }) { arrivals.leave() }
    }

    /// Announces a thread.
    ///
    /// `isBorrowed` marks a thread of Dispatch's, which serves others after this machine. The ticket is for `enter`.
    package func expect(_ name: String, isBorrowed: Bool = false) -> Ticket {
        state.withLock { state in
            defer { state.expectedCount += 1 }
            // No thread waits at a closed gate.
            if !state.isClosed {
                arrivals.enter()
                state.missing[state.expectedCount] = name
            }
            return Ticket(number: state.expectedCount, isBorrowed: isBorrowed, name: name)
        }
    }

    /// Counts the calling thread in, and waits with it.
    ///
    /// - Returns: Whether the gate was opened; where it was not, the thread has nothing to do and returns.
    package func enter(_ ticket: Ticket) -> Bool {
        if state.withLock({ $0.isClosed }) { return false }
        if !ticket.isBorrowed { prepare(ticket.name) }
        guard state.withLock({ $0.missing.removeValue(forKey: ticket.number) }) != nil else { return false }
        // All have entered before the gate opens.
        if ticket.isBorrowed { preparation.enter() }
        arrivals.leave()
        (ticket.isBorrowed ? decisionForBorrowed : decision).wait()
        let isOpen = state.withLock { $0.isOpen }
        guard ticket.isBorrowed else { return isOpen }
        if isOpen { prepare(ticket.name) }
        preparation.leave()
        if isOpen { preparation.wait() }
        return isOpen
    }

    /// Waits until all threads are there, or the gate is closed.
    ///
    /// - Throws: `HostThreadError`, which names those that are missing.
    package func waitForAll(within patience: Duration) throws(HostThreadError) {
        let milliseconds = Int(patience / .milliseconds(1))
        guard arrivals.wait(timeout: .now() + .milliseconds(milliseconds)) == .timedOut else { return }
        throw HostThreadError(
            missing: state.withLock { $0.missing.sorted { $0.key < $1.key }.map(\.value) },
            after: patience
        )
    }

    /// Lets all threads begin.
    ///
    /// - Returns: False where the gate was closed before.
    @discardableResult
    package func open() -> Bool {
        decide { $0.isOpen = true }
    }

    /// Sends all threads home, those that come later too; nothing where the gate is open already.
    package func close() {
        decide { state in
            state.isClosed = true
            // No thread waits for them any more.
            for _ in state.missing { arrivals.leave() }
            state.missing = [:]
        }
    }

    @discardableResult
    private func decide(_ body: (inout State) -> Void) -> Bool {
        let isFirst = state.withLock { state in
            guard !state.isOpen, !state.isClosed else { return false }
            body(&state)
            return true
        }
        if isFirst {
            decisionForBorrowed.leave()
            decision.leave()
        }
        return isFirst
    }
}
