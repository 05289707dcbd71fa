// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
package import Host
package import JSON
package import MachineAPI
package import SystemPackage

/// Talks to a machine over its control socket.
package final class MachineClient {
    /// The time that a machine may take for a quick answer.
    package static let patience = Duration.seconds(60)

    package let folder: MachineFolder
    /// The machine, held so that its end is seen whatever becomes of its folder.
    package let machine: OpenMachine
    private let client: HTTPClient

    package init(_ folder: MachineFolder) throws(RegistryError) {
        self.folder = folder
        machine = try folder.open()
        client = HTTPClient(connectingTo: folder.path(.apiSocket))
    }

    /// Makes a request that must succeed.
    ///
    /// The machine gets `files` open. The answer is null where the response has no body. Throws the machine's error, or the
    /// reason why it does not answer.
    @discardableResult
    package func request(
        _ method: String,
        _ path: String,
        _ body: JSONValue? = nil,
        files: [FileDescriptor] = [],
        until limit: TimeLimit = .after(patience)
    ) throws(RegistryError) -> JSONValue {
        while true {
            let response: HTTPResponse
            do throws(HTTPClientError) {
                let bytes = body.map { Array($0.text.utf8) }
                response = try client.request(method, path, body: bytes, files: files, timeout: limit.left)
            } catch {
                throw failure(error, until: limit)
            }
            // All of its places are taken by clients at work: soon one is free.
            if response.status == 503, limit.left > .milliseconds(100) {
                usleep(50_000)
                continue
            }
            return try value(of: response)
        }
    }

    private func value(of response: HTTPResponse) throws(RegistryError) -> JSONValue {
        let value = response.body.isEmpty ? .null : (try? JSONValue(parsing: response.body)) ?? .null
        guard response.status >= 300 else { return value }
        if case .object(let object) = value, case .string(let message) = object["fault_message"] {
            throw RegistryError(printable(message, keepsLines: true))
        }
        throw RegistryError("machine '\(folder.name)' answered \(response.status) \(response.reason)")
    }

    private func failure(_ error: HTTPClientError, until limit: TimeLimit) -> RegistryError {
        // It hangs up before its process is gone; one that only does not answer may never go.
        let end = limit.atMost(error == .timedOut ? .zero : .seconds(5))
        guard !machine.waitUntilDead(until: end) else { return RegistryError("machine '\(folder.name)' has ended") }
        return RegistryError("machine '\(folder.name)' cannot be reached: \(error)")
    }

    /// Does what `/martlet/actions` offers.
    @discardableResult
    package func act(
        _ action: String,
        until limit: TimeLimit = .after(patience)
    ) throws(RegistryError) -> JSONValue {
        try request("PUT", "/martlet/actions", ["action_type": .string(action)], until: limit)
    }

    /// Makes sure that the machine's process answers at all, before it is asked for what may take its time.
    ///
    /// - Throws: `RegistryError`, within two seconds.
    package func checkPresence() throws(RegistryError) { _ = try isPaused }

    /// Asks the machine whether it is paused.
    ///
    /// - Throws: As `checkPresence`.
    package var isPaused: Bool {
        get throws(RegistryError) { try request("GET", "/", until: .after(.seconds(2)))["state"] == "Paused" }
    }

    package func resume(until limit: TimeLimit = .after(patience)) throws(RegistryError) {
        try request("PATCH", "/vm", ["state": "Resumed"], until: limit)
    }

    /// Waits until the machine has ended: for the end of its process, which takes no place of its API.
    ///
    /// - Returns: The outcome; `nil` where it has not ended by then.
    /// - Throws: `RegistryError` where its process died without a word.
    package func waitForEnd(until limit: TimeLimit = .never) throws(RegistryError) -> MachineResult? {
        guard machine.waitUntilDead(until: limit) else { return nil }
        return try machine.result()
    }

    /// Connects to the console.
    ///
    /// `limit` is the moment by which the machine must have answered.
    package func attach(
        isWatching: Bool,
        until limit: TimeLimit = .after(patience)
    ) throws(RegistryError) -> ConsoleConnection {
        do throws(HTTPClientError) {
            // On a connection of its own: a machine that is not started yet must not see the last one go.
            let upgrade = try HTTPClient(connectingTo: folder.path(.apiSocket)).upgrade(
                "/martlet/console?mode=\(isWatching ? "watch" : "type")",
                to: MachineService.consoleProtocol,
                timeout: limit.left
            )
            return ConsoleConnection(
                socket: upgrade.socket,
                received: upgrade.leftover,
                isTyping: upgrade.headers["Martlet-Console-Mode"] == "type"
            )
        } catch .upgradeRefused(let response) {
            _ = try value(of: response)
            throw RegistryError("machine '\(folder.name)' does not offer its console")
        } catch {
            throw failure(error, until: limit)
        }
    }

    /// Ends the machine at once, and its process if it does not answer within a second.
    package func end() throws(RegistryError) {
        // A machine that answers is about to end, and writes its result.
        let isEnding = (try? act("Kill", until: .after(.seconds(1)))) != nil
        if machine.waitUntilDead(until: .after(isEnding ? .seconds(10) : .milliseconds(500))) { return }
        try machine.killProcess(until: .after(.seconds(1)))
    }
}

/// A connection to a console.
package struct ConsoleConnection: Sendable {
    package let socket: UnixSocket
    /// The bytes that came with the answer already.
    package let received: [UInt8]
    package let isTyping: Bool
}
