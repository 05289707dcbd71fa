// SPDX-License-Identifier: Apache-2.0

import Host
import Synchronization
import SystemPackage

/// The messages of other threads to the server's thread.
final class ServerMailbox: Sendable {
    /// A protocol that a connection continues with.
    struct Upgrade: Sendable {
        let name: String
        let headers: HTTPHeaders
        let onSwitch: @Sendable (UnixSocket, [UInt8]) -> Void
    }

    enum Message: Sendable {
        case response(connection: UInt64, HTTPResponse)
        case upgrade(connection: UInt64, Upgrade)
        case run(@Sendable () -> Void)
        case stop
    }

    private struct State {
        var messages: [Message] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let event: EventFD

    init() throws(Errno) {
        event = try EventFD()
    }

    /// Readable while there are messages.
    var descriptor: FileDescriptor { event.descriptor }

    func post(_ message: Message) {
        state.withLock { if !$0.isClosed { $0.messages.append(message) } }
        event.signal()
    }

    func take() -> [Message] {
        event.take()
        return state.withLock { state in
            defer { state.messages = [] }
            return state.messages
        }
    }

    /// From now on messages are dropped.
    func close() {
        state.withLock { state in
            state = State(isClosed: true)
        }
    }
}
