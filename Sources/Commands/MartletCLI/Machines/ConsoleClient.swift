// SPDX-License-Identifier: Apache-2.0

import Console
import Glibc
import HTTP
import Host
import JSON
import Machine
import MachineRegistry
import MachineSession
import SystemPackage

/// This terminal, or this pipe, at the console of a machine that has a process of its own.
final class ConsoleClient {
    /// The reason for the end.
    enum End {
        /// The user left, or their terminal did; the machine runs on.
        case detached
        /// The machine closed the console: it has ended.
        case closed
    }

    /// The number of bytes that may wait to be sent before nothing more is read.
    private static let sendLimit = 64 << 10

    private let machine: MachineClient
    private let connection: ConsoleConnection
    private var filter: EscapeFilter
    private var unsent: [UInt8] = []
    private var isInputOpen = true
    /// Indicates whether the console is a program's without a terminal: lines pass as they are, and standard input has an end.
    private let isPlain: Bool
    /// Indicates whether the console is a program's terminal: a serial port knows no size.
    private let isTerminalOfProgram: Bool
    private var end: End?
    /// The reason why standard output takes nothing more.
    private var failure: StandardOutput.Failure?

    init(_ machine: MachineClient, _ connection: ConsoleConnection, escape: EscapeKey) {
        (self.machine, self.connection) = (machine, connection)
        let program =
            (try? machine.request("GET", "/martlet/machine", until: .after(.seconds(10))))?["program"] ?? .null
        isTerminalOfProgram = program["terminal"] == true
        isPlain = program != .null && !isTerminalOfProgram
        if program != .null, program["input"] != true { isInputOpen = false }
        // A pipe's bytes are all the guest's.
        filter = Terminal.isTerminal(.standardInput) && !isPlain ? escape.filter : EscapeFilter(prefix: nil)
    }

    /// Passes bytes on in both directions until the user leaves or the machine ends.
    ///
    /// - Throws: `Errno` where the terminal cannot be set.
    func run() throws -> End {
        if isPlain {
            // As for a program of this host: it is asked to end.
            try SignalWatch([SIGINT, SIGTERM]) { [folder = machine.folder] _ in
                _ = try? MachineClient(folder).act("Shutdown")
            }
        } else if Terminal.isTerminal(.standardInput) {
            Messages.write(startLine)
            if isTerminalOfProgram, connection.isTyping { try passWindowSize() }
            try Terminal.enterRawMode(.standardInput)
        }
        defer { Terminal.restore() }
        connection.socket.setBlocking(false)
        show(connection.received[...])
        while end == nil { step() }
        if let failure {
            Terminal.restore()
            throw RegistryError("\(failure); \(machine.folder.name) runs on")
        }
        return end ?? .closed
    }

    /// Gives the program's terminal the size of this one, now and whenever that changes.
    private func passWindowSize() throws {
        @Sendable func pass(over client: MachineClient) {
            guard let size = Terminal.size(of: .standardInput), let body = try? JSONValue(encoding: size) else {
                return
            }
            _ = try? client.request("PUT", "/martlet/terminal", body)
        }
        try SignalWatch([SIGWINCH]) { [folder = machine.folder] _ in
            if let client = try? MachineClient(folder) { pass(over: client) }
        }
        pass(over: machine)
    }

    private var startLine: String {
        let name = machine.folder.name
        let watching = connection.isTyping ? "" : "; somebody else types, you watch"
        guard filter.prefix != nil else { return "attached to \(name)\(watching)" }
        return "attached to \(name): \(filter.prefixName) d leaves it running, \(filter.prefixName) h helps\(watching)"
    }

    private func step() {
        let wantsInput = isInputOpen && unsent.count < Self.sendLimit
        var socketEvents = POLLIN
        if !unsent.isEmpty { socketEvents |= POLLOUT }
        var polled = [
            pollfd(fd: connection.socket.descriptor.rawValue, events: Int16(socketEvents), revents: 0),
            // A negative descriptor is one that poll leaves out.
            pollfd(fd: wantsInput ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0),
        ]
        guard unsafe poll(&polled, 2, -1) >= 0 else { return }
        if polled[0].revents & Int16(POLLOUT) != 0 { send() }
        if polled[1].revents != 0 { readInput() }
        if polled[0].revents & ~Int16(POLLOUT) != 0 { receive() }
    }

    // MARK: - From the guest

    private func receive() {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let socket = connection.socket.descriptor.rawValue
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(socket, $0.baseAddress, $0.count) }
        if count > 0 {
            show(buffer.prefix(count))
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            end = end ?? .closed
        }
    }

    private func show(_ bytes: ArraySlice<UInt8>) {
        do throws(StandardOutput.Failure) {
            try StandardOutput.write(bytes)
        } catch {
            // The guest's output has no reader any more.
            (end, failure) = (.detached, error)
        }
    }

    // MARK: - To the guest

    private func readInput() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(STDIN_FILENO, $0.baseAddress, $0.count) }
        guard count > 0 else {
            if count < 0, errno == EINTR || errno == EAGAIN { return }
            isInputOpen = false
            // A terminal has no end: it is gone.
            if !isPlain, filter.prefix != nil || Terminal.isTerminal(.standardInput) { end = .detached }
            return send()
        }
        for byte in buffer.prefix(count) {
            switch filter.process(byte) {
            case .byte(let byte): if connection.isTyping { unsent.append(byte) }
            case .command(let command): carryOut(command)
            case nil: break
            }
        }
        send()
    }

    private func send() {
        guard !unsent.isEmpty else {
            // The program's input ends with this one.
            if isPlain, !isInputOpen { shutdown(connection.socket.descriptor.rawValue, CInt(SHUT_WR)) }
            return
        }
        let count = unsafe unsent.withUnsafeBytes { bytes in
            let socket = connection.socket.descriptor.rawValue
            return unsafe Glibc.send(socket, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
        }
        if count > 0 { unsent.removeFirst(count) }
        if unsent.isEmpty, !isInputOpen { send() }
        // Input that the machine no longer takes shows when the console's end is read.
    }

    private func carryOut(_ command: ConsoleCommand) {
        do {
            if let text = try command.carryOut(on: self, filter) { Messages.write(text) }
        } catch {
            Messages.write("\(error)")
        }
    }
}

extension ConsoleClient: ConsoleCommandTarget {
    func commandStop() throws { try machine.act("Kill") }

    func commandDetach() -> String? {
        end = .detached
        return nil
    }

    func commandSendBreak() throws { try machine.act("SendBreak") }
    func commandPressPowerButton() throws { try machine.act("PowerButton") }

    func commandPressControlAltDelete() throws {
        try machine.request("PUT", "/actions", ["action_type": "SendCtrlAltDel"])
    }

    func commandRescanDisks() throws -> [String] {
        try machine.act("RescanDrives")["changed"].elements.compactMap(\.string)
    }
}
