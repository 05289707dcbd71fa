// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
package import Host
package import JSON
import MachineAPI
import SystemPackage

/// Talks to a machine over its control socket.
package final class MachineClient {
    package let folder: MachineFolder
    private let client: HTTPClient

    package init(_ folder: MachineFolder) {
        self.folder = folder
        client = HTTPClient(connectingTo: folder.apiSocket)
    }

    /// Makes a request that has to succeed.
    ///
    /// - Parameters:
    ///   - method: Such as GET.
    ///   - path: The path, with its query.
    ///   - body: What is sent.
    ///   - timeout: How long the machine may take.
    /// - Returns: The body of the response; null where there is none.
    /// - Throws: `RegistryError` with what the machine says is wrong, or why it says nothing.
    @discardableResult
    package func request(
        _ method: String,
        _ path: String,
        _ body: JSONValue? = nil,
        timeout: Duration = .seconds(60)
    ) throws(RegistryError) -> JSONValue {
        let response: HTTPResponse
        do throws(HTTPClientError) {
            response = try client.request(method, path, body: body.map { Array($0.text.utf8) }, timeout: timeout)
        } catch {
            throw failure(error)
        }
        return try value(of: response)
    }

    private func value(of response: HTTPResponse) throws(RegistryError) -> JSONValue {
        let value = response.body.isEmpty ? .null : (try? JSONValue(parsing: response.body)) ?? .null
        guard response.status >= 300 else { return value }
        if case .object(let object) = value, case .string(let message) = object["fault_message"] {
            throw RegistryError(message)
        }
        throw RegistryError("machine '\(folder.name)' answered \(response.status) \(response.reason)")
    }

    private func failure(_ error: HTTPClientError) -> RegistryError {
        // It hangs up before its process is gone; one that only does not answer may never go.
        let patience: Duration = error == .timedOut ? .zero : .seconds(5)
        guard !folder.waitUntilDead(within: patience) else {
            return RegistryError("machine '\(folder.name)' has ended")
        }
        return RegistryError("machine '\(folder.name)' cannot be reached: \(error)")
    }

    /// Does what `/martlet/actions` offers.
    @discardableResult
    package func act(_ action: String, timeout: Duration = .seconds(60)) throws(RegistryError) -> JSONValue {
        try request("PUT", "/martlet/actions", ["action_type": .string(action)], timeout: timeout)
    }

    /// Waits until the machine has ended.
    ///
    /// - Parameter timeout: How long.
    /// - Returns: How it ended; `nil` where it has not in this time.
    /// - Throws: `RegistryError` where its process died without a word.
    package func waitForEnd(timeout: Duration = .seconds(100 * 365 * 86400)) throws(RegistryError) -> MachineResult? {
        let response: HTTPResponse
        do throws(HTTPClientError) {
            response = try client.request("GET", "/martlet/wait", timeout: timeout)
        } catch .timedOut {
            return nil
        } catch {
            // It may have ended between two looks, and told so in its folder.
            guard folder.waitUntilDead() else { throw failure(error) }
            return try MachineResult(of: folder)
        }
        let result = try MachineResult(try value(of: response))
        // The process has a last word to say to others; then its name is free.
        _ = folder.waitUntilDead()
        return result
    }

    /// Connects to the console.
    ///
    /// - Parameter isWatching: Whether only to watch.
    /// - Returns: The connection, and whether what is sent over it reaches the guest.
    /// - Throws: `RegistryError`.
    package func attach(isWatching: Bool) throws(RegistryError) -> ConsoleConnection {
        do throws(HTTPClientError) {
            // On a connection of its own: a machine that is not started yet must not see the last one go.
            let upgrade = try HTTPClient(connectingTo: folder.apiSocket).upgrade(
                "/martlet/console?mode=\(isWatching ? "watch" : "type")",
                to: MachineService.consoleProtocol
            )
            return ConsoleConnection(
                socket: upgrade.socket,
                received: upgrade.leftover,
                isTyping: upgrade.headers["Martlet-Console-Mode"] == "type"
            )
        } catch .upgradeRefused(let response) {
            _ = try value(of: response)
            throw RegistryError("machine '\(folder.name)' does not give its console")
        } catch {
            throw failure(error)
        }
    }

    /// Ends the monitor's process, for one that does not answer any more.
    package func killProcess() {
        guard folder.isAlive, let socket = try? UnixSocket.connect(to: folder.apiSocket, timeout: .seconds(1)) else {
            return
        }
        // Who listens: the kernel noted it, so it is no process that took over an old number.
        guard let peer = socket.peer, peer.processID > 1, peer.processID != getpid() else { return }
        kill(peer.processID, SIGKILL)
    }
}

/// A connection to a console.
package struct ConsoleConnection: Sendable {
    package let socket: UnixSocket
    /// What came with the answer already.
    package let received: [UInt8]
    package let isTyping: Bool
}
