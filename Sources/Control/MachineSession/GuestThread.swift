// SPDX-License-Identifier: Apache-2.0

import Dispatch
import GuestAgent
import Host
import Synchronization
import SystemPackage

/// A thread that talks to the agent of a machine's guest, between the machine's start and its end.
final class GuestThread: Sendable {
    private let socket = Mutex<FilePath?>(nil)
    private let started = DispatchSemaphore(value: 0)
    private let thread = Mutex<HostThread?>(nil)
    private let isOver = Atomic<Bool>(false)
    /// Signalled when the machine has ended.
    private let end: EventFD

    init() throws(Errno) {
        end = try EventFD()
    }

    var hasMachineEnded: Bool { isOver.load(ordering: .acquiring) }

    /// Readable when the machine has ended.
    var endDescriptor: FileDescriptor { end.descriptor }

    /// Makes the thread, which waits for the machine's start.
    func make(_ name: String, _ body: @escaping @Sendable (FilePath) -> Void) throws(HostThreadError) {
        let thread = try HostThread(name) { [self] in
            started.wait()
            if let path = socket.withLock({ $0 }) { body(path) }
        }
        self.thread.withLock { $0 = thread }
    }

    /// Lets the thread go on: the machine runs, and its guest may still boot.
    func start(over socket: FilePath) {
        self.socket.withLock { $0 = socket }
        started.signal()
    }

    /// Notes that the machine has ended.
    func noteEnd() {
        isOver.store(true, ordering: .releasing)
        end.signal()
    }

    /// Waits for the thread, when the machine has ended.
    func join() {
        noteEnd()
        started.signal()
        thread.withLock { $0 }?.join()
    }

    /// Connects to the agent.
    func connect(
        over path: FilePath,
        patience: Duration = AgentConnection.bootPatience
    ) throws(AgentError) -> AgentConnection {
        try AgentConnection(to: path, patience: patience) { [self] in !hasMachineEnded }
    }
}
