// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestAgent
import Host
import Synchronization
import SystemPackage
import TestSupport

/// A machine's vsock whose guest answers what a test wants: one connection after the other, on a thread of its own.
final class FakeGuest: Sendable {
    /// The request of a connection, without the greeting.
    typealias Conversation = [AgentMessage]

    let path: FilePath
    private let listener: UnixSocket
    private let answers: Mutex<[AgentMessage]>
    private let heard = Mutex<[Conversation]>([])
    private let isOver = Atomic<Bool>(false)
    private let thread = Mutex<HostThread?>(nil)

    /// - Parameters:
    ///   - path: The socket's.
    ///   - answers: In turn, one for each connection; then DONE forever.
    /// - Throws: Where the socket or the thread cannot be made.
    init(at path: FilePath, answers: [AgentMessage] = []) throws {
        self.path = path
        self.answers = Mutex(answers)
        listener = try UnixSocket.listen(at: path)
        let started = try HostThread("guest") { [self] in serve() }
        thread.withLock { $0 = started }
    }

    /// The conversations so far.
    var conversations: [Conversation] { heard.withLock { $0 } }

    /// Ends the thread.
    func end() {
        isOver.store(true, ordering: .sequentiallyConsistent)
        thread.withLock { $0.take() }?.join()
    }

    private func serve() {
        while !isOver.load(ordering: .sequentiallyConsistent) {
            guard !Poll.wait(for: listener.descriptor, .readable, timeout: .milliseconds(20)).isEmpty,
                let socket = try? listener.accept()
            else { continue }
            socket.setBlocking(true)
            var (line, byte): ([UInt8], [UInt8]) = ([], [0])
            while line.last != UInt8(ascii: "\n"), (try? socket.receive(into: &byte)) == 1 { line.append(byte[0]) }
            _ = try? socket.send(Array("OK 5\n".utf8)[...])
            let connection = AgentConnection(socket)
            var asked: Conversation = []
            while let message = try? connection.receive() {
                if message.kind != .hello { asked.append(message) }
                if message.kind == .disks { break }
            }
            heard.withLock { $0.append(asked) }
            let answer = answers.withLock { $0.isEmpty ? AgentMessage(.done) : $0.removeFirst() }
            try? connection.send(answer)
        }
    }
}
