// SPDX-License-Identifier: Apache-2.0

import CHost
import Dispatch
import Glibc
import Synchronization
import SystemPackage

/// A thread of this process that runs one function: named, with a small stack, and closed to asynchronous signals.
///
/// All that waits or works beside the vCPUs is such a thread. `top -H` shows its name.
package final class HostThread: Sendable {
    /// The usual size of a stack: address space, of which only the touched pages are memory.
    package static let stackByteCount = 512 << 10

    private let handle: pthread_t
    /// Is left when the thread's function has returned.
    private let ended = DispatchGroup()
    private let isReleased = Atomic<Bool>(false)

    /// Starts a thread.
    ///
    /// - Parameters:
    ///   - name: At most 15 bytes are shown.
    ///   - stackByteCount: The size of its stack.
    ///   - gate: Counts the thread in and holds it until all are there; `body` is not called where the gate closes.
    ///   - body: The thread's work; its captures live until it returns.
    /// - Throws: `HostThreadError`, which names the limits of this host.
    package init(
        _ name: String,
        stackByteCount: Int = HostThread.stackByteCount,
        gate: StartGate? = nil,
        _ body: @escaping @Sendable () -> Void
    ) throws(HostThreadError) {
        let entry: Body
        let prepare = Self.preparation.withLock { $0 }
        if let gate {
            let ticket = gate.expect(name)
            entry = Body(ended) {
                guard gate.enter(ticket) else { return }
                prepare?(name)
                body()
            }
        } else {
            entry = Body(ended) {
                prepare?(name)
                body()
            }
        }
        let context = unsafe Unmanaged.passRetained(entry)
        var thread: pthread_t = 0
        ended.enter()
        let result = unsafe chost_thread_start(
            &thread,
            Self.shownName(name),
            stackByteCount,
            Self.run,
            context.toOpaque()
        )
        guard result == 0 else {
            unsafe context.release()
            ended.leave()
            throw HostThreadError(name, Errno(rawValue: -result))
        }
        handle = thread
    }

    deinit {
        if !isReleased.load(ordering: .relaxed) { _ = chost_thread_detach(handle) }
    }

    /// Waits until the thread has returned from its function; at once where the caller is the thread itself.
    package func join() {
        guard pthread_equal(pthread_self(), handle) == 0 else { return }
        ended.wait()
        if !isReleased.exchange(true, ordering: .relaxed) { _ = chost_thread_join(handle) }
    }

    /// The body of a thread, on its way through C.
    private final class Body: Sendable {
        let ended: DispatchGroup
        let call: @Sendable () -> Void

        init(_ ended: DispatchGroup, _ call: @escaping @Sendable () -> Void) {
            (self.ended, self.call) = (ended, call)
        }
    }

    private static let run: @convention(c) (UnsafeMutableRawPointer) -> Void = { context in
        // Retained by `init` for this call alone, and released when it ends: before the thread does.
        let body = unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue()
        body.call()
        body.ended.leave()
    }

    // MARK: - Every thread

    private static let preparation = Mutex<(@Sendable (String) -> Void)?>(nil)

    /// Has each thread that starts from now on call a function first; one that passes a gate, when that is open.
    package static func prepareEach(_ body: @escaping @Sendable (String) -> Void) {
        preparation.withLock { $0 = body }
    }

    // MARK: - Processors

    /// Moves the calling thread from the first processor to another, where it is there and may.
    ///
    /// That one runs what the kernel calls at the end of a grace period of SRCU (read-copy-update), for which KVM waits when memory or
    /// interrupt routes change: a thread of a real-time class that keeps it busy holds up the thread that asks for them.
    package static func leaveFirstProcessor() { chost_thread_leave_first_processor() }

    // MARK: - Names

    /// Returns whether the calling thread has this name.
    package static func isCurrent(_ name: String) -> Bool { currentName == shownName(name) }

    /// Calls `body` with another name for the calling thread, such as a worker of Dispatch's.
    package static func withName<R>(_ name: String, _ body: () -> R) -> R {
        var before = [CChar](repeating: 0, count: 16)
        unsafe chost_thread_get_name(&before)
        unsafe chost_thread_set_name(shownName(name))
        defer { unsafe chost_thread_set_name(before) }
        return body()
    }

    /// The name of the calling thread, as the kernel shows it.
    package static var currentName: String {
        var name = [CChar](repeating: 0, count: 16)
        unsafe chost_thread_get_name(&name)
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The name that the kernel gets: under the program name `firecracker` the one that its tools expect.
    private static func shownName(_ name: String) -> String {
        guard ProcessArguments.standsInForFirecracker else { return name }
        if name == "http" { return "fc_api" }
        return name.hasPrefix("vcpu ") ? "fc_" + name : name
    }
}

/// The host has no thread left.
package struct HostThreadError: Error, Hashable, CustomStringConvertible {
    private let problem: String
    private let limits = ResourceLimits.ofThreads

    init(_ name: String, _ errno: Errno) {
        problem = "cannot start the thread '\(name)': \(errno)"
    }

    init(missing names: [String], after patience: Duration) {
        let shown = names.prefix(3).map { "'\($0)'" }.joined(separator: ", ") + (names.count > 3 ? ", ..." : "")
        problem = "\(names.count) of the machine's threads did not start within \(patience): \(shown)"
    }

    package var description: String {
        let known = limits.isEmpty ? "" : " (here: \(limits.joined(separator: ", ")))"
        return """
            \(problem); a limit of the host's is reached: threads of the pids cgroup, of the user (ulimit -u), or address \
            space (ulimit -v)\(known)
            """
    }
}
