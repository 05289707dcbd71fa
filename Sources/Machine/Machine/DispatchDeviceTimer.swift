// SPDX-License-Identifier: Apache-2.0

import Devices
import Dispatch
import Glibc
import Synchronization

/// A timer of Dispatch, for devices that know nothing of it.
final class DispatchDeviceTimer: DeviceTimer {
    private final class Handler: Sendable {
        let body = Mutex<(@Sendable () -> Void)?>(nil)
    }

    // Dispatch sources may be scheduled from any thread; the protocol only does not say so.
    private nonisolated(unsafe) let source: any DispatchSourceTimer
    private let handler = Handler()

    init(label: String) {
        unsafe source = DispatchSource.makeTimerSource(queue: DispatchQueue(label: label))
        unsafe source.setEventHandler { [handler] in handler.body.withLock { $0 }?() }
        unsafe source.schedule(deadline: .distantFuture)
        // At once: Dispatch traps where a source goes away that was never active.
        unsafe source.activate()
    }

    deinit {
        unsafe source.cancel()
    }

    /// Sets what is called when the time has come.
    func setHandler(_ body: @escaping @Sendable () -> Void) {
        handler.body.withLock { $0 = body }
    }

    func schedule(after delay: Duration?) {
        guard let delay else {
            unsafe source.schedule(deadline: .distantFuture)
            return
        }
        let (seconds, attoseconds) = delay.components
        let nanoseconds = Double(seconds) * 1e9 + Double(attoseconds) / 1e9
        unsafe source.schedule(deadline: .now() + .nanoseconds(Int(min(max(nanoseconds, 0), 1e18))))
    }
}

/// The host's clock.
enum HostClock {
    /// UTC, as time since 1970-01-01 00:00.
    @Sendable static func sinceEpoch() -> Duration {
        var now = timespec()
        // Fails for no clock that every kernel has.
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return .seconds(now.tv_sec) + .nanoseconds(now.tv_nsec)
    }
}
