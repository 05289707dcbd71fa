// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import Host
import MachineRegistry
import SystemPackage

/// `martlet vsock`: a connection to a port of the guest.
struct VsockCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vsock",
        abstract: "Connect standard input and output to a port of the guest (vsock).",
        discussion:
            "For a guest whose sshd takes connections of vsock: ssh -o ProxyCommand='martlet vsock NAME 22' NAME"
    )

    @OptionGroup var machine: MachineArgument

    @Argument(help: "The port that a program in the guest listens on.")
    var port: UInt32

    func run() throws {
        var streams = StandardStreams(at: try machine.client().connect(toPort: port))
        try streams.pass()
    }
}

/// Standard input and output at the end of a connection.
private struct StandardStreams {
    private static let byteMaximum = 64 << 10

    let socket: UnixSocket
    private var unsent: ArraySlice<UInt8> = []
    private var isInputOpen = true

    init(at socket: UnixSocket) {
        self.socket = socket
        socket.setBlocking(false)
    }

    /// Passes bytes on in both directions until the other side ends.
    ///
    /// - Throws: `StandardOutput.Failure`, `Errno`.
    mutating func pass() throws {
        var buffer = [UInt8](repeating: 0, count: Self.byteMaximum)
        while true {
            let events = Poll.wait(for: [
                (socket.descriptor, unsent.isEmpty ? .readable : [.readable, .writable]),
                (isInputOpen && unsent.isEmpty ? .standardInput : nil, .readable),
            ])
            if !events[1].isEmpty, unsent.isEmpty {
                let count = try unsafe buffer.withUnsafeMutableBytes {
                    try unsafe FileDescriptor.standardInput.read(into: $0)
                }
                unsent = buffer.prefix(count)
                if count == 0 {
                    isInputOpen = false
                    socket.finishSending()
                }
            }
            // An error shows when the end of the other side's data is read.
            if !unsent.isEmpty, let count = try? socket.send(unsent) { unsent = unsent.dropFirst(count) }
            guard !events[0].isDisjoint(with: [.readable, .hangUp, .error]) else { continue }
            let count: Int
            do throws(Errno) {
                count = try socket.receive(into: &buffer)
            } catch {
                guard error == .wouldBlock else { throw error }
                continue
            }
            guard count > 0 else { return }
            try StandardOutput.write(buffer.prefix(count))
        }
    }
}
