// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Synchronization

/// A named thread that runs closures, one after the other, and timers.
///
/// Not a queue of Dispatch, which makes threads when it likes, and another one for its timers.
package final class WorkThread: Sendable {
    fileprivate struct State {
        var work: [@Sendable () -> Void] = []
        var timers: [UInt64: (deadline: ContinuousClock.Instant, body: @Sendable () -> Void)] = [:]
        var nextTimer: UInt64 = 0
        var isStarted = false
        var isFinishing = false
    }

    /// The state that the thread and its owner share: the thread does not keep its owner.
    fileprivate final class Core: Sendable {
        let state = Mutex(State())
        let wake = DispatchSemaphore(value: 0)
    }

    private let name: String
    private let stackByteCount: Int
    private let core = Core()
    private let thread = Mutex<HostThread?>(nil)

    /// Makes a thread that is still to be started.
    ///
    /// `name` has at most 15 bytes.
    package init(_ name: String, stackByteCount: Int = HostThread.stackByteCount) {
        (self.name, self.stackByteCount) = (name, stackByteCount)
    }

    deinit {
        finish()
    }

    /// Starts the thread; once.
    package func start(gate: StartGate? = nil) throws(HostThreadError) {
        guard core.state.withLock({ $0.isStarted.replace(with: true) }) == false else { return }
        let core = core
        do throws(HostThreadError) {
            let started = try HostThread(name, stackByteCount: stackByteCount, gate: gate) { core.run() }
            thread.withLock { $0 = started }
        } catch {
            // Work may hold the owner of this thread.
            core.state.withLock { ($0.work, $0.isFinishing) = ([], true) }
            throw error
        }
    }

    /// Queues `body` for the thread; before the start, until it starts.
    ///
    /// - Parameter body: May block the thread.
    /// - Returns: False where the thread ends: `body` is not called.
    @discardableResult
    package func run(_ body: @escaping @Sendable () -> Void) -> Bool {
        let isTaken = core.state.withLock { state in
            if !state.isFinishing { state.work.append(body) }
            return !state.isFinishing
        }
        if isTaken { core.wake.signal() }
        return isTaken
    }

    /// Ends the thread once its queue is empty; timers fire no more.
    package func finish() {
        core.state.withLock { $0.isFinishing = true }
        core.wake.signal()
    }

    /// Waits for the end of a finishing thread; returns at once on the thread itself.
    package func join() {
        thread.withLock { $0 }?.join()
    }

    /// A time at which the thread calls a function.
    package final class Timer: Sendable {
        private let core: Core
        private let number: UInt64
        private let body: @Sendable () -> Void

        fileprivate init(_ core: Core, _ body: @escaping @Sendable () -> Void) {
            (self.core, self.body) = (core, body)
            number = core.state.withLock { state in
                defer { state.nextTimer += 1 }
                return state.nextTimer
            }
        }

        deinit {
            schedule(after: nil)
        }

        /// Schedules the function once, after `delay`, replacing an earlier schedule; `nil` for never.
        package func schedule(after delay: Duration?) {
            // Beyond some years the clock would overflow.
            let deadline = delay.map { ContinuousClock.now + min(max($0, .zero), .seconds(1 << 32)) }
            core.state.withLock { state in state.timers[number] = deadline.map { ($0, body) } }
            if deadline != nil { core.wake.signal() }
        }
    }

    /// Makes a timer.
    ///
    /// - Parameter body: Called on the thread; does not block, so that no other timer is late.
    /// - Returns: The timer, which is disarmed when it goes away.
    package func makeTimer(_ body: @escaping @Sendable () -> Void) -> Timer {
        Timer(core, body)
    }
}

extension WorkThread.Core {
    private enum Step {
        case call(@Sendable () -> Void)
        case sleep(until: ContinuousClock.Instant?)
        case end
    }

    fileprivate func run() {
        while true {
            switch state.withLock({ next(&$0) }) {
            case .call(let body): body()
            case .end: return
            case .sleep(nil): wake.wait()
            case .sleep(let deadline?):
                let delay = max(deadline - .now, .zero)
                // Rounded up: a timer never fires before its time.
                let nanoseconds =
                    delay.components.seconds * 1_000_000_000 + delay.components.attoseconds / 1_000_000_000
                _ = wake.wait(timeout: .now() + .nanoseconds(Int(nanoseconds) + 1))
            }
        }
    }

    private func next(_ state: inout WorkThread.State) -> Step {
        if !state.work.isEmpty { return .call(state.work.removeFirst()) }
        if state.isFinishing { return .end }
        guard let (number, timer) = state.timers.min(by: { $0.value.deadline < $1.value.deadline }) else {
            return .sleep(until: nil)
        }
        guard timer.deadline <= .now else { return .sleep(until: timer.deadline) }
        state.timers[number] = nil
        return .call(timer.body)
    }
}

extension Bool {
    /// Sets another value and gives the one before.
    fileprivate mutating func replace(with value: Bool) -> Bool {
        defer { self = value }
        return self
    }
}
