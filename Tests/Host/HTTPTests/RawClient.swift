// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
import Host
import SystemPackage
import TestSupport

/// A client that sends any bytes, and fails where an answer takes far too long.
final class RawClient: Sendable {
    let socket: UnixSocket

    init(_ path: FilePath) throws {
        socket = try UnixSocket.connect(to: path, timeout: .seconds(60))
        var patience = timeval(tv_sec: 60, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            unsafe setsockopt(descriptor, SOL_SOCKET, option, &patience, size)
        }
    }

    private var descriptor: CInt { socket.descriptor.rawValue }

    /// Sends all of it; false where the server has closed.
    @discardableResult
    func send(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    func finishSending() {
        shutdown(descriptor, CInt(SHUT_WR))
    }

    /// Reads up to `end`, or everything until the server closes.
    func receive(until end: String? = nil) throws -> String {
        var received = ""
        while end.map({ !received.hasSuffix($0) }) ?? true {
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            // Byte by byte where something may follow.
            let count = unsafe recv(descriptor, &buffer, end == nil ? buffer.count : 1, 0)
            if count < 0 && errno != ECONNRESET { throw MissedDeadline("the server", received: Array(received.utf8)) }
            if count <= 0 { break }
            received += String(decoding: buffer.prefix(count), as: UTF8.self)
        }
        return received
    }

    /// The head of the next response.
    func receiveHead() throws -> String { try receive(until: "\r\n\r\n") }
}
