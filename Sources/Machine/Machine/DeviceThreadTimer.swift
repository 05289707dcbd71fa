// SPDX-License-Identifier: Apache-2.0

import Devices
import Glibc
import Host
import Synchronization

/// A timer of one device, on the machine's thread for timers.
final class DeviceThreadTimer: DeviceTimer {
    /// Shared with the timer, which does not keep the device.
    private final class Handler: Sendable {
        let body = Mutex<(@Sendable () -> Void)?>(nil)
    }

    private let handler: Handler
    private let timer: WorkThread.Timer

    init(on thread: WorkThread) {
        let handler = Handler()
        (self.handler, timer) = (handler, thread.makeTimer { handler.body.withLock { $0 }?() })
    }

    /// Sets the function that is called when the timer fires.
    func setHandler(_ body: @escaping @Sendable () -> Void) {
        handler.body.withLock { $0 = body }
    }

    func schedule(after delay: Duration?) {
        timer.schedule(after: delay)
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
