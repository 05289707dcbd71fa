// SPDX-License-Identifier: Apache-2.0

package import Devices
import GuestMemory
package import Host
package import Platform
import Synchronization

/// The agreement of a machine and its guest's first process about snapshots: see "The guest's part" in docs/snapshots.md.
///
/// The guest speaks by the lights of its keyboard: Num Lock for taking part, Scroll Lock while it is ready and waits. The
/// machine asks by the sleep key and answers in the identity page.
package final class SnapshotPoint: Sendable {
    private struct State {
        var isReady = false
        var waiters: [Once] = []
    }

    private static let takesPart: UInt8 = 1 << 1
    private static let isReady: UInt8 = 1 << 0
    /// A guest has five seconds to freeze its user space; the sleep key is pressed at the start of each interval.
    private static let (attemptCount, interval) = (10, Duration.milliseconds(500))

    private let page: IdentityPage
    private let keyboard: I8042
    private let state = Mutex(State())

    package init(page: IdentityPage, keyboard: I8042) {
        (self.page, self.keyboard) = (page, keyboard)
    }

    /// Indicates whether the guest takes part.
    package var isUsed: Bool { keyboard.keyboardLights & Self.takesPart != 0 }

    /// Takes a signal of the guest.
    ///
    /// - Parameter lights: The lights of its keyboard.
    package func handle(lights: UInt8) {
        let isReady = lights & Self.isReady != 0
        let (waiters, wasReady) = state.withLock { state in
            defer { state = State(isReady: isReady, waiters: isReady ? [] : state.waiters) }
            return (isReady ? state.waiters : [], state.isReady)
        }
        // Requests whose time is over do not wait any more.
        let calls = waiters.count { $0.call() }
        if isReady, calls == 0 {
            letGo()
        } else if wasReady, !isReady {
            try? page.forgetEntropy()
        }
    }

    /// Waits for the next time that the guest is ready, without asking it; one that has not booted yet knows.
    ///
    /// - Parameter body: Called once from one of the machine's threads; must not block. Then `letGo` is the caller's to call.
    package func whenReady(_ body: @escaping @Sendable () -> Void) {
        try? page.expectSave()
        state.withLock { $0.waiters.append(Once(body)) }
    }

    /// Asks the guest to get ready.
    ///
    /// - Parameters:
    ///   - timers: The thread on which its time ends.
    ///   - body: Called once when it is ready, or has not become so in time; must not block. Then `letGo` is the caller's
    ///     to call.
    package func ask(on timers: WorkThread, _ body: @escaping @Sendable () -> Void) {
        let once = Once(body)
        state.withLock { $0.waiters.append(once) }
        once.call(after: Self.attemptCount, every: Self.interval, on: timers) { [keyboard] in
            // Linux drops a key that it reads while it waits for the reply to a command. The keyboard avoids that, but for the few
            // instructions between the start of that wait and the command.
            _ = keyboard.pressSleep()
        }
        // A keyboard that is disabled or full cannot carry the request.
        if !keyboard.pressSleep() { _ = once.call() }
    }

    /// Calls all functions that wait for the guest, which does nothing any more.
    package func abandon() {
        let waiters = state.withLock { state in
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { _ = waiter.call() }
    }

    /// Lets a guest that waits go on as the machine that it was.
    package func letGo() {
        turnOffReadyLight()
        try? page.answer()
    }

    /// Turns Scroll Lock off in the keyboard before the guest's driver does, which may take it 50 ms.
    ///
    /// In that time the guest runs, so a snapshot must not say that it waits. And the driver sends the last state alone: if the
    /// guest becomes ready again, it sends that the light is on, and never that it was off.
    private func turnOffReadyLight() { keyboard.turnOff(Self.isReady) }

    /// Gives a restored guest another identity, before it runs.
    ///
    /// - Parameters:
    ///   - time: The host's time, for a guest whose clock is to follow it.
    ///   - name: The host name; empty for the one that it has.
    package func renewIdentity(time: (seconds: Int64, nanoseconds: UInt32)?, name: String) {
        try? page.renew(entropy: (0..<32).map { _ in .random(in: .min ... .max) }, time: time, name: name)
        let isReady = keyboard.keyboardLights & Self.isReady != 0
        turnOffReadyLight()
        state.withLock { $0.isReady = isReady }
        // A guest that was saved without being asked is somewhere else now.
        if !isReady { _ = keyboard.pressSleep() }
    }

    /// A call that is made once, by the first caller.
    private final class Once: Sendable {
        private struct State {
            var body: (@Sendable () -> Void)?
            /// Held until the call; it holds this object.
            var timer: WorkThread.Timer?
            var attemptsLeft = 0
        }

        private let state: Mutex<State>

        init(_ body: @escaping @Sendable () -> Void) { state = Mutex(State(body: body)) }

        /// Makes the call when some time is over.
        ///
        /// `attempt` is called between its intervals, as long as the call is still to be made.
        func call(
            after count: Int,
            every interval: Duration,
            on timers: WorkThread,
            attempt: @escaping @Sendable () -> Void
        ) {
            let timer = timers.makeTimer { [self] in
                let timer = state.withLock { state in
                    state.attemptsLeft -= 1
                    return state.attemptsLeft > 0 ? state.timer : nil
                }
                guard let timer else {
                    _ = call()
                    return
                }
                attempt()
                timer.schedule(after: interval)
            }
            state.withLock { ($0.timer, $0.attemptsLeft) = (timer, count) }
            timer.schedule(after: interval)
        }

        /// Makes the call.
        ///
        /// - Returns: Whether it was still to be made.
        func call() -> Bool {
            let (body, timer) = state.withLock { state in
                defer { state = State() }
                return (state.body, state.timer)
            }
            timer?.schedule(after: nil)
            body?()
            return body != nil
        }
    }
}
