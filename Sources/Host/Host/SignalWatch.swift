// SPDX-License-Identifier: Apache-2.0

import CHost
import SystemPackage

/// Signals of this process that call a handler instead of having their action, for the rest of the process's life.
///
/// A signal that is ignored stays ignored: the parent process wanted that, by `nohup`, `trap '' HUP` or a shell's `&`.
///
/// A handler and an event, not a Dispatch source: that one looks at a signal which is ignored, and until Dispatch has
/// begun to look, on a thread of its own, the kernel throws such a signal away.
package struct SignalWatch: Sendable {
    private let loop: EventLoop

    /// Watches from now on; once for each signal.
    ///
    /// - Parameters:
    ///   - signals: Such as SIGTERM.
    ///   - faults: Signals that are reported even if they are ignored, with the status by which the process ends where one is the
    ///     fault of a thread, which cannot go on: a second later, if `handle` has not ended the process.
    ///   - others: Those of them that another thread lets come to itself, by `admit`.
    ///   - handle: Called on a thread of its own with each signal that came.
    /// - Throws: `Errno`: there is no such signal, or it cannot be caught, or the host has no descriptor left.
    ///   `HostThreadError`: the host has no thread left.
    @discardableResult
    package init(
        _ signals: [CInt],
        faults: [CInt: CInt] = [:],
        others: [CInt] = [],
        handle: @escaping @Sendable (CInt) -> Void
    ) throws {
        var events: [EventFD] = []
        let start = try EventFD()
        let all = signals + faults.keys
        var sources = [
            // The parent process may have blocked them for all other threads.
            EventLoop.Source(start.descriptor) {
                for signal in all where !others.contains(signal) { chost_unblock_signal(signal) }
            }
        ]
        for signal in all {
            let event = try EventFD()
            events.append(event)
            sources.append(EventLoop.Source(event.descriptor) { handle(signal) })
        }
        loop = try EventLoop("signals", sources: sources)
        for (signal, event) in zip(all, events) {
            // Kept for good: the signal's handler knows its descriptor.
            _ = unsafe Unmanaged.passRetained(event)
            let descriptor = event.descriptor.rawValue
            try hostCall {
                faults[signal].map { chost_watch_fault(signal, descriptor, $0) }
                    ?? chost_watch_signal(signal, descriptor)
            }
        }
        // The thread keeps the loop.
        try loop.start()
        _ = unsafe Unmanaged.passRetained(start)
        start.signal()
    }

    /// The code of the last signal of this number (siginfo_t): positive where the kernel sent it; known for `faults` only.
    package static func code(of signal: CInt) -> CInt { chost_signal_code(signal) }

    /// Takes the number of signals of this number that came since the last call; known for `faults` only.
    package static func takeCount(of signal: CInt) -> UInt64 { UInt64(chost_take_signal_count(signal)) }

    /// Lets a signal come to the calling thread, by which the kernel tells of a call that the thread made.
    package static func admit(_ signal: CInt) { chost_unblock_signal(signal) }

    /// Keeps a signal from coming to the calling thread.
    package static func shut(_ signal: CInt) { chost_block_signal(signal) }
}
