// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
import Host
import SystemPackage
import TestSupport

/// A viewer of a console, which fails where nothing comes for far too long.
final class ConsoleClient {
    private let socket: UnixSocket
    private var received: [UInt8]
    /// Its headers.
    let position: String?
    let mode: String?

    init(_ upgrade: HTTPUpgrade) {
        (socket, received) = (upgrade.socket, upgrade.leftover)
        position = upgrade.headers["Martlet-Console-Position"]
        mode = upgrade.headers["Martlet-Console-Mode"]
        var patience = timeval(tv_sec: 60, tv_usec: 0)
        let descriptor = socket.descriptor.rawValue
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    func type(_ text: String) throws {
        try socket.descriptor.writeAll(text.utf8)
    }

    /// The next bytes, so many of them.
    func read(_ byteCount: Int) throws -> String {
        while received.count < byteCount {
            guard let more = try receive() else { break }
            received += more
        }
        guard received.count >= byteCount else { throw MissedDeadline("the console", received: received) }
        defer { received.removeFirst(byteCount) }
        return String(decoding: received.prefix(byteCount), as: UTF8.self)
    }

    /// All that comes until the end.
    func readToEnd() throws -> String {
        while let more = try receive() { received += more }
        defer { received = [] }
        return String(decoding: received, as: UTF8.self)
    }

    /// - Returns: `nil` at the end.
    private func receive() throws -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe recv(socket.descriptor.rawValue, &buffer, buffer.count, 0)
        guard count >= 0 else { throw MissedDeadline("the console", received: received) }
        return count == 0 ? nil : Array(buffer.prefix(count))
    }
}
