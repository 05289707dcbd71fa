// SPDX-License-Identifier: Apache-2.0

package import Dispatch
import Synchronization
package import SystemPackage

/// One thread that waits for descriptors to become readable and calls the handler of each: a device's thread.
///
/// Not Dispatch sources: each event would pass through two more threads, of which `docs/architecture.md` has the cost.
package final class EventLoop: Sendable {
    /// A descriptor, and what to do while it is readable.
    package struct Source: Sendable {
        package let descriptor: FileDescriptor
        /// Called on the loop's thread, once for each time that the descriptor becomes readable; need not take the event.
        package let handle: @Sendable () -> Void

        package init(_ descriptor: FileDescriptor, handle: @escaping @Sendable () -> Void) {
            self.descriptor = descriptor
            self.handle = handle
        }
    }

    private let sources: [Source]
    private let name: String
    /// Wakes the thread, to check whether it must pause or end.
    private let wake: EventFD
    /// The wake-up, then the sources.
    private let set: EventSet
    private let isEnding = Atomic<Bool>(false)
    private let pausePoint = PausePoint()
    private let thread = Mutex<HostThread?>(nil)
    private let isStarted = Atomic<Bool>(false)

    /// - Parameters:
    ///   - name: The name of its thread.
    ///   - sources: The events to wait for; the descriptors stay open for as long as the handlers live.
    /// - Throws: `Errno` where the host has no descriptor left.
    package init(_ name: String, sources: [Source]) throws(Errno) {
        self.sources = sources
        self.name = name
        wake = try EventFD()
        set = try EventSet([wake.descriptor] + sources.map(\.descriptor))
    }

    /// Starts to wait; once.
    package func start(gate: StartGate? = nil) throws(HostThreadError) {
        guard !isStarted.exchange(true, ordering: .relaxed) else { return }
        do throws(HostThreadError) {
            let started = try HostThread(name, gate: gate) { [self] in run() }
            thread.withLock { $0 = started }
        } catch {
            pausePoint.end()
            throw error
        }
    }

    /// Returns when no handler runs any more, and none will.
    ///
    /// Not from a handler.
    package func stop() {
        isEnding.store(true, ordering: .releasing)
        pausePoint.release()
        wake.signal()
        thread.withLock { $0 }?.join()
    }

    /// Asks the thread to call no handler until `resume`; a loop that does not run calls none in any case.
    ///
    /// - Parameter group: Is entered for as long as a handler may still run.
    package func pause(joining group: DispatchGroup) {
        guard isStarted.load(ordering: .relaxed) else { return }
        pausePoint.hold(joining: group)
        wake.signal()
    }

    /// Resumes, with the events that came meanwhile.
    package func resume() {
        pausePoint.release()
    }

    private func run() {
        defer { pausePoint.end() }
        while true {
            let ready = set.wait()
            if ready & 1 != 0 {
                if isEnding.load(ordering: .acquiring) { return }
                // Events that were ready before are not reported again: they are handled after the pause.
                if pausePoint.pass(), isEnding.load(ordering: .acquiring) { return }
            }
            for index in sources.indices where ready & 2 << UInt64(index) != 0 {
                sources[index].handle()
            }
        }
    }
}
