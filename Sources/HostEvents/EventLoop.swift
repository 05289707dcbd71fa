// SPDX-License-Identifier: Apache-2.0

package import Dispatch
import Glibc
import Synchronization
package import SystemPackage

/// One thread that waits for descriptors to become readable and calls whoever waits for each: a device's thread.
///
/// A serial queue whose one block runs until `stop()`, as a vCPU's does. Not Dispatch sources: each event would pass
/// through two more threads, of which `docs/architecture.md` has the cost.
package final class EventLoop: Sendable {
    /// A descriptor, and what to do while it is readable.
    package struct Source: Sendable {
        package let descriptor: FileDescriptor
        /// Called on the loop's thread; takes the event, so that the descriptor is no longer readable.
        package let handle: @Sendable () -> Void

        package init(_ descriptor: FileDescriptor, handle: @escaping @Sendable () -> Void) {
            self.descriptor = descriptor
            self.handle = handle
        }
    }

    private let sources: [Source]
    private let queue: DispatchQueue
    /// Wakes the thread, to look whether it is to pause or to end.
    private let wake: EventFD
    private let isEnding = Atomic<Bool>(false)
    private let pausePoint = PausePoint()
    private let ended = DispatchGroup()
    private let isStarted = Atomic<Bool>(false)

    /// - Parameters:
    ///   - label: The name of its thread's queue.
    ///   - sources: What it waits for; the descriptors stay open for as long as the handlers live.
    /// - Throws: `Errno` where the host has no descriptor left.
    package init(label: String, sources: [Source]) throws(Errno) {
        self.sources = sources
        queue = DispatchQueue(label: label)
        wake = try EventFD()
    }

    /// Starts to wait; once.
    package func start() {
        guard !isStarted.exchange(true, ordering: .relaxed) else { return }
        queue.async(group: ended) { [self] in run() }
    }

    /// Returns when no handler runs any more, and none will.
    ///
    /// Not from a handler.
    package func stop() {
        isEnding.store(true, ordering: .releasing)
        pausePoint.release()
        wake.signal()
        ended.wait()
    }

    /// Asks the thread to call no handler until `resume`; a loop that does not run calls none in any case.
    ///
    /// - Parameter group: Is entered for as long as a handler may still run.
    package func pause(joining group: DispatchGroup) {
        guard isStarted.load(ordering: .relaxed) else { return }
        pausePoint.hold(joining: group)
        wake.signal()
    }

    /// Goes on, with what has happened meanwhile.
    package func resume() {
        pausePoint.release()
    }

    private func run() {
        defer { pausePoint.end() }
        let descriptors = [wake.descriptor] + sources.map(\.descriptor)
        var set = descriptors.map { pollfd(fd: $0.rawValue, events: Int16(POLLIN), revents: 0) }
        while true {
            let count = unsafe poll(&set, nfds_t(set.count), -1)
            // EINTR, or ENOMEM for which there is nothing better than another try.
            guard count > 0 else { continue }
            if set[0].revents != 0 {
                wake.take()
                if isEnding.load(ordering: .acquiring) { return }
                // What was readable before may not be any more.
                if pausePoint.pass() { continue }
            }
            for index in sources.indices where set[index + 1].revents != 0 {
                sources[index].handle()
            }
        }
    }
}
