// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import TestSupport

/// A name server of the host's in a test's network: one name has one address, the others have none (RFC 1035).
final class NameServer {
    private let socket: CInt
    private let thread: HostThread

    /// - Parameters:
    ///   - name: Its name, such as `page.test`.
    ///   - address: The address of this name, and of the server.
    /// - Throws: An error where the address is not the network's, or port 53 is in use.
    init(_ name: String, at address: [UInt8]) throws {
        let socket = Glibc.socket(AF_INET, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var own = sockaddr_in()
        own.sin_family = sa_family_t(AF_INET)
        own.sin_port = UInt16(53).bigEndian
        own.sin_addr.s_addr = unsafe address.withUnsafeBytes { unsafe $0.loadUnaligned(as: UInt32.self) }
        let result = unsafe withUnsafePointer(to: own) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard socket >= 0, result == 0 else { throw MissedDeadline("a name server's port: errno \(errno)") }
        var labels: [UInt8] = []
        for label in name.split(separator: ".") { labels += [UInt8(label.utf8.count)] + Array(label.utf8) }
        let question = labels + [0]
        self.socket = socket
        thread = try HostThread("name server") { Self.serve(socket, question, address) }
    }

    deinit {
        shutdown(socket, CInt(SHUT_RDWR))
        thread.join()
        close(socket)
    }

    private static func serve(_ socket: CInt, _ labels: [UInt8], _ address: [UInt8]) {
        var query = [UInt8](repeating: 0, count: 512)
        while true {
            var peer = sockaddr()
            var size = socklen_t(MemoryLayout<sockaddr>.size)
            let count = unsafe recvfrom(socket, &query, query.count, 0, &peer, &size)
            // 0 bytes or an error: the socket has been shut down.
            guard count > 0 else { return }
            let end = 12 + labels.count
            guard count >= end + 4 else { continue }
            let isKnown = Array(query[12..<end]).elementsEqual(labels)
            let hasAddress = isKnown && query[end..<end + 4].elementsEqual([0, 1, 0, 1])
            // The question's identifier; a final answer, or NXDOMAIN; one question, and none or one answer.
            var answer = Array(query[0..<2]) + [0x85, isKnown ? 0x80 : 0x83, 0, 1, 0, hasAddress ? 1 : 0, 0, 0, 0, 0]
            answer += query[12..<end + 4]
            // The name of the question, type A, class IN, for 60 seconds, 4 bytes.
            if hasAddress { answer += [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4] + address }
            _ = unsafe sendto(socket, answer, answer.count, 0, &peer, size)
        }
    }
}
