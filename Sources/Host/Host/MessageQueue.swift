// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Synchronization
package import SystemPackage

/// Messages on their way to a file, pipe or terminal that may take nothing for long: their senders never wait.
///
/// Device threads and vCPUs write messages too; a full pipe or a stopped terminal behind standard error must not stop them. What
/// finds no room is dropped and counted, and the count is printed when there is room again.
package final class MessageQueue: Sendable {
    /// The messages of this process to its user.
    package static let standardError = MessageQueue(.standardError) { Terminal.lineEnd }
    /// The log of a process whose users look for it there.
    package static let standardOutput = MessageQueue(.standardOutput) { Terminal.lineEnd }

    /// The number of bytes that may wait.
    package static let capacity = 64 << 10

    private struct State {
        var waiting: [[UInt8]] = []
        var waitingByteCount = 0
        var droppedCount = 0
        var isStarted = false
        var isWriting = false
    }

    private let file: FileDescriptor
    private let lineEnd: @Sendable () -> String
    private let state = Mutex(State())
    private let work = DispatchSemaphore(value: 0)
    private let progress = DispatchSemaphore(value: 0)

    /// Makes a queue that is not started: until then each sender writes its message itself.
    ///
    /// - Parameters:
    ///   - file: Takes the messages; open for as long as the process lives.
    ///   - lineEnd: Ends the line about dropped messages.
    package init(_ file: FileDescriptor, lineEnd: @escaping @Sendable () -> String = { "\n" }) {
        self.file = file
        self.lineEnd = lineEnd
    }

    /// Writes from now on from a thread of its own; once.
    package func start() throws(HostThreadError) {
        let wasStarted = state.withLock { state in
            defer { state.isStarted = true }
            return state.isStarted
        }
        guard !wasStarted else { return }
        do throws(HostThreadError) {
            _ = try HostThread("messages") { [self] in writeUntilEnd() }
        } catch {
            state.withLock { $0.isStarted = false }
            throw error
        }
    }

    /// Sends one message, whole or not at all.
    package func write(_ bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        let isQueued = state.withLock { state in
            guard state.isStarted else { return false }
            guard state.waitingByteCount + bytes.count <= Self.capacity else {
                state.droppedCount += 1
                return true
            }
            state.waiting.append(bytes)
            state.waitingByteCount += bytes.count
            return true
        }
        guard isQueued else {
            // Nobody could read a message where the file is closed or broken.
            try? file.write(all: bytes)
            return
        }
        work.signal()
    }

    /// Waits until all is written.
    ///
    /// - Parameter patience: The limit for a stalled reader.
    package func flush(within patience: Duration) {
        let deadline = DispatchTime.now() + .milliseconds(Int(patience / .milliseconds(1)))
        while state.withLock({ $0.isStarted && ($0.isWriting || !$0.waiting.isEmpty || $0.droppedCount > 0) }) {
            guard progress.wait(timeout: deadline) == .success else { return }
        }
    }

    private func writeUntilEnd() {
        while true {
            let (message, droppedCount) = state.withLock { state in
                let message = state.waiting.isEmpty ? nil : state.waiting.removeFirst()
                state.waitingByteCount -= message?.count ?? 0
                // Printed last: the dropped messages came after the waiting ones.
                let isTold = message == nil && state.droppedCount > 0
                defer { if isTold { state.droppedCount = 0 } }
                state.isWriting = message != nil || isTold
                return (message, isTold ? state.droppedCount : 0)
            }
            if let message {
                try? file.write(all: message)
            } else if droppedCount > 0 {
                try? file.write(all: "martlet: \(droppedCount) messages were lost: nobody read them\(lineEnd())".utf8)
            } else {
                progress.signal()
                work.wait()
            }
        }
    }
}
