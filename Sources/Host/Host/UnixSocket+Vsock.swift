// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

extension UnixSocket {
    /// Asks a machine's vsock socket for a port of its guest: `CONNECT PORT`, then `OK PORT` (docs/vsock.md).
    ///
    /// - Parameters:
    ///   - port: The port.
    ///   - limit: The time by which the guest must have taken the connection.
    ///   - isWanted: Asked now and then while the guest does not answer: one that is still booting says nothing, and one
    ///     whose machine has ended says nothing either.
    /// - Throws: `Errno`: `connectionRefused` where nothing in the guest listens, `timedOut` where it does not answer.
    package func connect(
        toGuestPort port: UInt32,
        until limit: TimeLimit,
        while isWanted: () -> Bool = { true }
    ) throws(Errno) {
        // A new connection has room for it.
        _ = try send(Array("CONNECT \(port)\n".utf8)[...])
        var (answer, byte): ([UInt8], [UInt8]) = ([], [0])
        // Byte by byte, because what follows the line is the guest's.
        while answer.last != UInt8(ascii: "\n") {
            while Poll.wait(for: descriptor, .readable, timeout: min(limit.left, .milliseconds(500))).isEmpty {
                guard !limit.hasPassed, isWanted() else { throw .timedOut }
            }
            guard try receive(into: &byte) == 1, answer.count < 32 else { throw .connectionRefused }
            answer.append(byte[0])
        }
        guard answer.starts(with: "OK ".utf8) else { throw .connectionRefused }
    }
}
