// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ContainerMachine
import Glibc
import GuestAgent
import Host
import JSON
import MachineRegistry
import MachineSession
import SystemPackage

/// `martlet exec`: a program in a running machine.
struct ExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Run a program in a running machine's guest.",
        discussion: """
            The guest needs Martlet's agent, which the default guest's init is: docs/agent.md.

            EXIT STATUS
              N    the program's
              128 + the signal that ended the program
              127  there is no such program
              126  the program cannot be run
              125  the machine or its agent failed
            """
    )

    @OptionGroup var options: ProgramOptions
    @OptionGroup var machine: MachineArgument

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments.")
    var command: [String]

    func validate() throws {
        try options.checkTerminal()
        if command.isEmpty { throw ValidationError("Name a program to run.") }
        if let user = options.user, user.split(separator: ":").contains(where: { UInt32($0) == nil }) {
            throw ValidationError("--user takes numbers here: 1000 or 1000:1000.")
        }
    }

    func run() throws {
        var program = GuestProgram(command.first == "--" ? Array(command.dropFirst()) : command)
        program.place = .containerIfThere(GuestContainer.onlyName)
        let client = try machine.client()
        // As the program of a container image, where the machine is there for one.
        let main = try MachineProgram.Header(describedBy: client.request("GET", "/martlet/machine")["program"])
        program.environment =
            (main?.environment ?? ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"])
            .merging(options.terminalType)
            .merging(options.variables)
        program.folder = options.folder ?? main?.folder ?? ""
        program.hasTerminal = options.tty
        if let user = options.user {
            let numbers = user.split(separator: ":").compactMap { UInt32($0) }
            program.user = GuestProgram.User(id: numbers.first ?? 0, group: numbers.last ?? 0)
        } else if let main {
            program.user = GuestProgram.User(id: main.user, group: main.group)
        }
        if main != nil { program.capabilities = ContainerDefaults.capabilities(of: program.user?.id ?? 0) }
        throw try Self.run(input: options.input) {
            program
        } connect: {
            try client.connectToAgent()
        }
    }

    /// The time that a container may take to be there.
    private static let patience = Duration.seconds(120)

    /// Runs a program to its end, with this process's streams and signals.
    ///
    /// An engine may ask as soon as the machine has been started; the container is on its way then, and is waited for.
    ///
    /// - Parameters:
    ///   - input: Standard input, or the terminal; `nil` for none.
    ///   - describe: Describes the program, however long that takes: signals that come meanwhile are the program's.
    ///   - connect: Connects to the agent.
    /// - Returns: The exit status.
    /// - Throws: The errors of `describe` and `connect`, or an error where the host has no thread or descriptor left.
    static func run(
        input: FileDescriptor?,
        _ describe: () throws -> GuestProgram,
        connect: () throws -> AgentConnection
    ) throws -> ExitCode {
        let signals = try ProgramRun.Signals()
        try SignalWatch([SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGWINCH]) { signals.send($0) }
        defer { Terminal.restore() }
        let program = try describe()
        var deadline: ContinuousClock.Instant?
        while true {
            let connection = try connect()
            // The machine may have taken longer to be there itself.
            let end = deadline ?? .now + patience
            deadline = end
            do throws(AgentError) {
                let status = try ProgramRun(connection, input: input, signals: signals).run(program) {
                    if program.hasTerminal, let input, Terminal.isTerminal(input) { try? Terminal.enterRawMode(input) }
                }
                return ExitCode(Int32(status.exitStatus))
            } catch  where error.isOfMissingContainer && ContinuousClock.now < end {
                usleep(100_000)
            } catch {
                Terminal.restore()
                Messages.write("\(error)")
                return ExitCode(Int32(error.exitStatus))
            }
        }
    }
}
