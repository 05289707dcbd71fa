// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import GuestAgent
import Host
import JSON
import MachineRegistry
import MachineSession
import SystemPackage

extension MachineClient {
    /// The time that a container image's program may take to run.
    private static let programPatience = Duration.seconds(600)

    /// Connects to the agent of the machine's guest, and waits for one that is still booting.
    ///
    /// A machine of a container image first starts its program, because the container is made with it.
    ///
    /// - Throws: `RegistryError` where the machine has no vsock, `AgentError` where its guest has no agent.
    func connectToAgent() throws -> AgentConnection {
        let limit = TimeLimit.after(Self.programPatience)
        while try request("GET", "/martlet/machine")["program"]["running"] == false, !limit.hasPassed {
            usleep(100_000)
        }
        return try AgentConnection(to: try vsockPath()) { machine.isAlive }
    }
}

/// Options of a program that runs in a guest, as in `docker exec`.
struct ProgramOptions: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Forward standard input to the program.")
    var interactive = false

    @Flag(name: .shortAndLong, help: "Give the program a terminal.")
    var tty = false

    @Option(
        name: [.customShort("e"), .customLong("env")],
        help: ArgumentHelp("Set an environment variable; NAME alone takes its value here.", valueName: "name=value")
    )
    var environment: [String] = []

    @Option(
        name: [.customShort("w"), .customLong("workdir")],
        help: ArgumentHelp("The program's working directory.", valueName: "path")
    )
    var folder: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("Its user, and group.", valueName: "user[:group]"))
    var user: String?

    /// The variables that were given, with those of this process in place of names alone.
    var variables: [String] {
        environment.compactMap { entry in
            entry.contains("=") ? entry : ProcessArguments.environment(entry).map { "\(entry)=\($0)" }
        }
    }

    /// The terminal's type, where the program gets one.
    var terminalType: [String] {
        tty ? ["TERM=" + (ProcessArguments.environment("TERM") ?? "xterm")] : []
    }

    /// Standard input, where it is passed on.
    var input: FileDescriptor? { interactive || tty ? .standardInput : nil }

    /// Makes sure that the program's terminal can be this one.
    func checkTerminal() throws {
        if tty, !Terminal.isTerminal(.standardInput) {
            throw ValidationError("--tty needs a terminal as standard input; leave it out for pipes.")
        }
    }
}

extension [String] {
    /// Adds variables, `NAME=VALUE`; of those with the same name the last one counts.
    func merging(_ variables: [String]) -> [String] {
        var result: [String] = []
        for variable in self + variables {
            let name = variable.prefix { $0 != "=" } + "="
            if let index = result.firstIndex(where: { $0.hasPrefix(name) }) {
                result[index] = variable
            } else {
                result.append(variable)
            }
        }
        return result
    }
}
