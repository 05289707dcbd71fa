// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import Host
import MachineAPI
import MachineSession
import SystemPackage

/// The command `martlet`.
@main
struct MartletCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "A virtual machine monitor for Linux hosts with KVM.",
        version: APIVersion.martlet,
        subcommands: [
            RunCommand.self, SnapshotCommand.self, CompareCommand.self, DoctorCommand.self, RunImageCommand.self,
            ContainerCommand.self, ContainerExecCommand.self, ContainerTemplateCommand.self,
        ],
        groupedSubcommands: [
            CommandGroup(
                name: "Machine",
                subcommands: [
                    PsCommand.self, AttachCommand.self, LogsCommand.self, InspectCommand.self, StatsCommand.self,
                    PauseCommand.self, ResumeCommand.self, StopCommand.self, KillCommand.self, WaitCommand.self,
                    RemoveCommand.self, CloneCommand.self, VsockCommand.self, PortCommand.self, ExecCommand.self,
                    CopyCommand.self, TopCommand.self,
                ]
            ),
            CommandGroup(name: "API", subcommands: [APICommand.self]),
        ]
    )

    // Not asynchronous: nothing may open a descriptor before `prepare`, and the main thread has nothing else to do than to wait.
    static func main() {
        do throws(Errno) {
            try ProcessStart.prepare()
        } catch {
            Messages.write("cannot open the standard descriptors: \(error)")
            Glibc.exit(1)
        }
        do {
            // Not CommandLine.arguments, which loses bytes that are not UTF-8.
            let all = ProcessArguments.all
            if let status = try PlainRestore(all)?.run() { Glibc.exit(status) }
            var command = try parseAsRoot(RunImageCommand.arguments(from: NetworkOption.completed(all)))
            try command.run()
        } catch {
            let text = fullMessage(for: error)
            let status = exitCode(for: error)
            // Help and versions are answers as any other; errors may have words of files, guests and sockets in them.
            if !text.isEmpty {
                if status == .success {
                    printAnswer(text)
                } else {
                    MessageQueue.standardError.write((printable(text, keepsLines: true) + "\n").utf8)
                }
            }
            MessageQueue.standardError.flush(within: .seconds(1))
            Glibc.exit(status.rawValue)
        }
    }
}
