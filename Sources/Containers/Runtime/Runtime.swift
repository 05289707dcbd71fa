// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import SystemPackage

/// The command `martlet-runtime`: an OCI runtime whose containers are machines.
///
/// The host's runc or crun does what differs from host to host: namespaces, cgroup, hooks, seccomp and the console. What it runs as the
/// container's process is Martlet, which has the container's streams and ends as the guest's program does.
@main
enum Runtime {
    static func main() {
        do throws(Errno) { try ProcessStart.prepare() } catch { exit(1) }
        let arguments = ProcessArguments.all
        var options = RuntimeOptions()
        do {
            options = try RuntimeOptions(arguments)
            try run(options)
        } catch {
            options.report("\(error)")
            exit(1)
        }
    }

    private static func run(_ options: RuntimeOptions) throws {
        if options.showsVersion {
            print("martlet-runtime version \(MartletVersion.text)")
            print("spec: 1.0.2")
            return
        }
        switch options.command {
        case "create":
            var command = try CreateCommand(options)
            throw try command.run()
        case "start": throw try StartCommand(options: options).run()
        case "exec":
            var command = ContainerExecCommand(options: options)
            throw try command.run()
        case "delete": try DeleteCommand(options: options).run()
        case "state": try StateCommand(options: options).run()
        case "update":
            var command = UpdateCommand(options: options)
            throw try command.run()
        case "features": print(RuntimeFeatures.description.prettyText)
        case "pause", "resume": throw try PauseCommand(options: options).run()
        case "kill", "ps", "events", "list", "help":
            throw try Delegate.replaceThisProcess(options.arguments)
        case "checkpoint", "restore":
            throw RuntimeProblem(
                "a machine's container cannot be checkpointed by its engine; `martlet snapshot` saves machines"
            )
        case "":
            throw RuntimeProblem(
                "no command was given: create, start, state, kill, delete, exec, pause, resume, update, ps"
            )
        default: throw RuntimeProblem("unknown command '\(printable(options.command))'")
        }
    }
}

/// The reason why the runtime refuses a command, in the words that engines look for.
struct RuntimeProblem: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
