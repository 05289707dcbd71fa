// SPDX-License-Identifier: Apache-2.0

package import Host
import Synchronization

/// The duty to answer one request, from any thread.
///
/// The first answer counts, others are ignored. If it goes away without one, the client gets 500.
package final class HTTPResponder: Sendable {
    /// The peer that asks.
    package let peer: PeerCredentials
    private let connection: UInt64
    private let mailbox: ServerMailbox
    private let client: ClientPresence
    private let isAnswered = Atomic<Bool>(false)

    init(connection: UInt64, peer: PeerCredentials, mailbox: ServerMailbox, client: ClientPresence) {
        (self.connection, self.peer, self.mailbox, self.client) = (connection, peer, mailbox, client)
    }

    deinit {
        send(HTTPResponse(HTTPFault(500, "the request was not answered")))
    }

    /// Answers the request; a client that has gone is not an error.
    ///
    /// - Parameter response: The response, with a status from 200 on.
    package func send(_ response: HTTPResponse) {
        answer(.response(connection: connection, response))
    }

    /// Answers with 101 and gives the connection away.
    ///
    /// - Parameters:
    ///   - name: The protocol, one that the request asked for.
    ///   - headers: Further header fields.
    ///   - onSwitch: Gets the connection, non-blocking, once the client has been sent the response, and the bytes of the
    ///     new protocol that it has sent already. Called on the server's thread; never if the client is gone.
    package func upgrade(
        to name: String,
        headers: HTTPHeaders = [:],
        onSwitch: @escaping @Sendable (UnixSocket, [UInt8]) -> Void
    ) {
        answer(
            .upgrade(
                connection: connection,
                ServerMailbox.Upgrade(name: name, headers: headers, onSwitch: onSwitch)
            )
        )
    }

    /// Has `action` called if the client hangs up, or the server stops, before the answer.
    ///
    /// - Parameter action: Called at most once, on the server's thread, or at once if the client is gone already.
    package func onClientGone(_ action: @escaping @Sendable () -> Void) {
        client.onGone(action)
    }

    private func answer(_ message: ServerMailbox.Message) {
        guard !isAnswered.exchange(true, ordering: .relaxed) else { return }
        client.settle()
        mailbox.post(message)
    }
}
