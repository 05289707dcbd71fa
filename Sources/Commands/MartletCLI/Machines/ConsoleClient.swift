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
        show(connection.received)
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
        let events = Poll.wait(for: [
            (connection.socket.descriptor, unsent.isEmpty ? .readable : [.readable, .writable]),
            (wantsInput ? .standardInput : nil, .readable),
        ])
        if events[0].contains(.writable) { send() }
        if !events[1].isEmpty { readInput() }
        if !events[0].subtracting(.writable).isEmpty { receive() }
    }

    // MARK: - From the guest

    private func receive() {
        do throws(Errno) {
            let bytes = try connection.socket.descriptor.readSome(limit: 1 << 16)
            if bytes.isEmpty { end = end ?? .closed } else { show(bytes) }
        } catch {
            if error != .wouldBlock { end = end ?? .closed }
        }
    }

    private func show(_ bytes: [UInt8]) {
        do throws(StandardOutput.Failure) {
            try StandardOutput.write(bytes)
        } catch {
            // The guest's output has no reader any more.
            (end, failure) = (.detached, error)
        }
    }

    // MARK: - To the guest

    private func readInput() {
        var bytes: [UInt8] = []
        do throws(Errno) {
            bytes = try FileDescriptor.standardInput.readSome(limit: 4096)
        } catch {
            if error == .wouldBlock { return }
        }
        guard !bytes.isEmpty else {
            isInputOpen = false
            // A terminal has no end: it is gone.
            if !isPlain, filter.prefix != nil || Terminal.isTerminal(.standardInput) { end = .detached }
            return send()
        }
        for byte in bytes {
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
            if isPlain, !isInputOpen { connection.socket.finishSending() }
            return
        }
        // Input that the machine no longer takes shows when the console's end is read.
        unsent.removeFirst((try? connection.socket.send(unsent[...])) ?? 0)
        if unsent.isEmpty, !isInputOpen { send() }
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
