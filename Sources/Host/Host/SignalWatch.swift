// SPDX-License-Identifier: Apache-2.0

import CHost
import SystemPackage

/// Signals of this process that are told to somebody instead of having their action, for the rest of the process's life.
///
/// A signal that is ignored stays ignored: whoever started this process wanted that, by `nohup`, `trap '' HUP` or a shell's `&`.
///
/// A handler and an event, not a Dispatch source: that one looks at a signal which is ignored, and until Dispatch has
/// begun to look, on a thread of its own, the kernel throws such a signal away.
package struct SignalWatch: Sendable {
    private let loop: EventLoop

    /// Watches from now on; once for each signal.
    ///
    /// - Parameters:
    ///   - signals: Such as SIGTERM.
    ///   - handle: Called on a thread of its own with each signal that came.
    /// - Throws: `Errno`: there is no such signal, or it cannot be caught, or the host has no descriptor left.
    ///   `HostThreadError`: the host has no thread left.
    @discardableResult
    package init(_ signals: [CInt], handle: @escaping @Sendable (CInt) -> Void) throws {
        var events: [EventFD] = []
        let start = try EventFD()
        var sources = [
            // Whoever started this process may have blocked them for all other threads.
            EventLoop.Source(start.descriptor) { for signal in signals { chost_unblock_signal(signal) } }
        ]
        for signal in signals {
            let event = try EventFD()
            events.append(event)
            sources.append(EventLoop.Source(event.descriptor) { handle(signal) })
        }
        loop = try EventLoop("signals", sources: sources)
        for (signal, event) in zip(signals, events) {
            // Kept for good: the signal's handler knows its descriptor.
            _ = unsafe Unmanaged.passRetained(event)
            _ = try hostCall { chost_watch_signal(signal, event.descriptor.rawValue) }
        }
        // The thread keeps the loop.
        try loop.start()
        _ = unsafe Unmanaged.passRetained(start)
        start.signal()
    }
}
