// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import Host
import JSON
import MachineAPI
import Machine
import MachineModel
import MachineRegistry
import MachineSession
import SystemPackage

/// Machines that have a process of their own.
extension RunCommand {
    /// Indicates whether the machine has a process of its own.
    var isNamed: Bool { naming.isNamed || jailing.jail != nil }

    func validateNamed() throws {
        if user != nil, geteuid() != 0 {
            throw ValidationError("--user needs root: leave it out.")
        }
        try jailing.validate(in: sandbox, user: user)
        if naming.remove, !isNamed {
            throw ValidationError("--rm needs --name or --detach: other machines leave nothing.")
        }
        if isNamed, apiSocket != nil {
            throw ValidationError("A named machine has its socket in its folder: leave out --api-socket.")
        }
        if isNamed, case .nowhere = console {
            throw ValidationError("A named machine needs no --console none: --detach leaves its console alone.")
        }
    }

    /// Starts the machine in a process of its own, and attaches to it unless that is not wanted.
    ///
    /// - Throws: `RegistryError` where it cannot be started.
    func runNamed(_ configuration: MachineConfiguration, disk: DefaultDisk?) throws -> ExitCode {
        var configuration = configuration
        if verbose, configuration.logger == nil { configuration.logger = .init(level: .debug) }
        try configuration.checkFiles()
        var source = MachineSource(configuration)
        if let vsock = network.vsock { source.takesDefaultVsock = vsock.vsock != nil }
        // A copy without a name: it is an open file alone.
        if let disk, let file = disk.file { source.pass(file, at: disk.path, as: "private-copy:root.ext4") }
        return try namedStart.launch(source, name: naming.machineName)
    }

    /// The way in which machines of this command start in processes of their own.
    var namedStart: NamedStart {
        get throws {
            var settings = Sandbox.Settings()
            (settings.mode, settings.user) = (sandbox, user)
            settings.filterFile = seccompFilter.map { FilePath(hostText: $0) }
            (settings.jail, settings.openedFolders) = (try jailing.folders(), try allowed)
            var start = NamedStart(naming, sandbox: settings, escape: escape)
            start.metadata = try network.metadataFile.map { path throws(APIError) in try MetadataFile.value(of: path) }
            return start
        }
    }
}
