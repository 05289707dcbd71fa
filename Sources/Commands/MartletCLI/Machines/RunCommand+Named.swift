// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import JSON
import Machine
import MachineRegistry
import SystemPackage

/// Machines that have a process of their own.
extension RunCommand {
    /// Whether the machine outlives this command.
    var isNamed: Bool { name != nil || detach }

    func validateNamed() throws {
        if let name, MachineName(name) == nil {
            throw ValidationError("'\(name)' is no name of a machine: \(MachineName.rule).")
        }
        if remove, !isNamed { throw ValidationError("--rm is for machines with a --name; others leave nothing.") }
        if apiSocket != nil, config == nil { throw ValidationError("--api-socket needs --config.") }
        if config != nil {
            guard kernel == nil, disks.isEmpty, initrd == nil, cmdline.isEmpty, cmdlineOnly == nil, keep == nil else {
                throw ValidationError("With --config all about the machine comes from the file.")
            }
            if isNamed, apiSocket != nil {
                throw ValidationError("A machine with a name has its socket in its folder: leave out --api-socket.")
            }
        }
        if isNamed, case .none = console {
            throw ValidationError(
                "The console of a machine with a name is attached to or not: leave out --console none."
            )
        }
    }

    /// Starts the machine in a process of its own, and attaches to it unless that is not wanted.
    ///
    /// - Parameters:
    ///   - configuration: What it is made of.
    ///   - disk: The default guest's, if it has it.
    /// - Returns: The exit status.
    /// - Throws: `RegistryError` where it cannot be started.
    func runNamed(_ configuration: MachineConfiguration, disk: DefaultDisk?) throws -> ExitCode {
        var configuration = configuration
        var inherited: [FileDescriptor] = []
        if let disk, let file = disk.file {
            // A copy without a name: the machine's process has it as its first further descriptor.
            inherited.append(file)
            for index in configuration.disks.indices where configuration.disks[index].path == disk.path {
                configuration.disks[index].path = MonitorProcess.path(ofInherited: 0)
            }
        }
        var source = MachineSource.configuration(configuration, inherited: inherited)
        if case .file(let path) = console { source = source.sendingConsole(to: path) }
        return try launch(source)
    }

    /// Runs what a file describes: in this process's place, or in one of its own.
    ///
    /// - Parameter path: The file.
    /// - Returns: The exit status.
    /// - Throws: `RegistryError` where it cannot be started.
    func runConfigurationFile(_ path: FilePath) throws -> ExitCode {
        if isNamed { return try launch(.file(path)) }
        var arguments = ["--config-file", path.string, "--escape", escape.argument]
        if let apiSocket { arguments += ["--api-sock", apiSocket] } else { arguments.append("--no-api") }
        if let name { arguments += ["--id", name] }
        if verbose { arguments += ["--level", "Debug"] }
        throw try MonitorProcess.replaceThisProcess(arguments)
    }

    private func launch(_ source: MachineSource) throws -> ExitCode {
        let launcher = MachineLauncher(in: try RuntimeFolder.ofThisUser())
        var connection: ConsoleConnection?
        let client = try launcher.launch(
            name.flatMap(MachineName.init),
            source,
            isRemovedAtEnd: remove
        ) { client throws(RegistryError) in
            if !detach { connection = try client.attach(isWatching: false) }
        }
        if let connection { return try AttachCommand.serve(connection, of: client, escape: escape) }
        do throws(StandardOutput.Failure) {
            try StandardOutput.write(line: client.folder.name.text)
        } catch {
            throw RegistryError("\(error); the machine runs as '\(client.folder.name)'")
        }
        return .success
    }
}
