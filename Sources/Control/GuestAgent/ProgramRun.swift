// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Synchronization
package import SystemPackage

/// The host's side of a program that runs in a guest: its streams, its terminal and its signals.
package final class ProgramRun {
    /// Signals on their way to the program, from whatever thread.
    package final class Signals: Sendable {
        private let waiting = Mutex<[CInt]>([])
        fileprivate let event: EventFD

        package init() throws(Errno) {
            event = try EventFD()
        }

        /// Sends a signal to the program, once it has started.
        ///
        /// - Parameter signal: SIGWINCH stands for a new size of the terminal.
        package func send(_ signal: CInt) {
            waiting.withLock { if $0.count < 64 { $0.append(signal) } }
            event.signal()
        }

        fileprivate func take() -> [CInt] {
            event.take()
            return waiting.withLock { signals in
                defer { signals = [] }
                return signals
            }
        }
    }

    private let connection: AgentConnection
    private let input: (any ProgramStream)?
    private let output: any ProgramStream
    private let errorOutput: any ProgramStream
    private let signals: Signals

    private var hasStarted = false
    /// The signals that were sent before the agent told of the start; `nil` where they wait for that.
    private var earlySignals: [CInt]?
    private var inputIsOpen: Bool
    private var window = AgentMessage.inputWindow
    /// The bytes that one of the outputs has not taken yet.
    private var waiting: ArraySlice<UInt8> = []
    private var waitingFor: any ProgramStream = FileDescriptor.standardOutput
    private var brokenOutputs: Set<CInt> = []

    /// - Parameters:
    ///   - connection: The agent's, which nothing was sent to.
    ///   - input: Standard input, or the terminal; `nil` for none.
    ///   - output: Takes standard output.
    ///   - errorOutput: Takes standard error.
    ///   - signals: The signals for the program.
    package init(
        _ connection: AgentConnection,
        input: (any ProgramStream)?,
        output: any ProgramStream = FileDescriptor.standardOutput,
        errorOutput: any ProgramStream = FileDescriptor.standardError,
        signals: Signals
    ) {
        (self.connection, self.input, self.output, self.errorOutput) = (connection, input, output, errorOutput)
        self.signals = signals
        inputIsOpen = input != nil
    }

    /// Runs a program to its end.
    package func run(
        _ program: GuestProgram,
        onStart: () -> Void = {}
    ) throws(AgentError) -> WaitStatus {
        var program = program
        if program.hasTerminal, let size = input?.terminalSize { program.size = size }
        if input == nil, !program.hasTerminal {
            // Signals alone are sent to it.
            program.mayTellStartLate = true
            earlySignals = []
        }
        try program.send { message throws(AgentError) in try connection.add(message.bytes) }
        return try serve(hasTerminal: program.hasTerminal, onStart: onStart)
    }

    /// Runs a machine's program to its end.
    package func run(_ program: MachineProgram, onStart: () -> Void = {}) throws(AgentError) -> WaitStatus {
        try program.send(over: connection)
        return try serve(hasTerminal: program.header.hasTerminal, onStart: onStart)
    }

    private func serve(hasTerminal: Bool, onStart: () -> Void) throws(AgentError) -> WaitStatus {
        // At its end at once, as /dev/null is.
        if input == nil, !hasTerminal { try connection.add(AgentMessage(.inputEnd).bytes) }
        try connection.sendAdded()
        // They are for the next attempt.
        defer { if !hasStarted { earlySignals?.forEach(signals.send) } }
        while true {
            while waiting.isEmpty, let message = try connection.parser.next() {
                if let status = try handle(message, onStart) { return status }
            }
            let ready = Poll.wait(for: [
                (waiting.isEmpty ? connection.socket.descriptor : nil, .readable),
                (hasStarted || earlySignals != nil ? signals.event.descriptor : nil, .readable),
                (inputIsOpen && hasStarted && window > 0 ? input?.descriptor : nil, .readable),
                (waiting.isEmpty ? nil : waitingFor.descriptor, waitingFor.roomEvent),
            ])
            if !ready[1].isEmpty { for signal in signals.take() { pass(signal) } }
            if !ready[3].isEmpty { writeWaiting() }
            if !ready[2].isEmpty { readInput() }
            if !ready[0].isEmpty, try !connection.receiveSome() { throw .hungUp }
        }
    }

    private func handle(_ message: AgentMessage, _ onStart: () -> Void) throws(AgentError) -> WaitStatus? {
        try AgentConnection.check(message)
        guard hasStarted == (message.kind != .started) else {
            throw .malformed(
                "it sent \(message.kind) of a program that it \(hasStarted ? "had started" : "did not start")"
            )
        }
        var payload = AgentPayload(message.payload)
        switch message.kind {
        case .started:
            hasStarted = true
            onStart()
        case .output: (waiting, waitingFor) = (message.payload[...], output)
        case .errorOutput: (waiting, waitingFor) = (message.payload[...], errorOutput)
        case .taken: window = min(AgentMessage.inputWindow, window + Int(clamping: payload.number(UInt32.self)))
        case .exit:
            let status = payload.number(UInt32.self)
            guard payload.isWhole else { throw .malformed("it sent an end without a status") }
            return WaitStatus(status)
        default: throw .malformed("it sent \(message.kind) while a program ran")
        }
        if brokenOutputs.contains(waitingFor.descriptor.rawValue) { waiting = [] }
        return nil
    }

    /// Writes pending output: never more than a writable pipe takes without blocking.
    private func writeWaiting() {
        do throws(Errno) {
            waiting = waiting.dropFirst(try waitingFor.writeSome(waiting.prefix(Int(PIPE_BUF))))
        } catch .resourceTemporarilyUnavailable {
            return
        } catch {
            // As if the program itself had lost its reader; its further output is dropped.
            brokenOutputs.insert(waitingFor.descriptor.rawValue)
            waiting = []
            signals.send(SIGPIPE)
        }
    }

    private func readInput() {
        guard let input else { return }
        let bytes: [UInt8]
        do throws(Errno) { bytes = try input.readSome(limit: min(window, 16 << 10)) } catch {
            if error == .resourceTemporarilyUnavailable { return }
            // A terminal that is gone, for one: nothing more comes.
            bytes = []
        }
        window -= bytes.count
        inputIsOpen = !bytes.isEmpty
        send(bytes.isEmpty ? AgentMessage(.inputEnd) : AgentMessage(.input, bytes))
    }

    private func pass(_ signal: CInt) {
        if !hasStarted { earlySignals?.append(signal) }
        if signal == SIGWINCH {
            guard let size = input?.terminalSize else { return }
            return send(AgentMessage(.size, size.payload))
        }
        send(AgentMessage(.signal, AgentMessage.bytes(UInt32(signal))))
    }

    /// Sends to the running program.
    ///
    /// One that has ended takes nothing; its end is on the way then.
    private func send(_ message: AgentMessage) {
        do throws(Errno) { try AgentConnection.send(message.bytes, over: connection.socket) } catch {
            inputIsOpen = false
        }
    }
}
