// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import Host
import JSON
import Machine
import MachineAPI
import MachineModel
import MachineRegistry
import Snapshot
import Storage
import SystemPackage

/// `martlet clone`: further machines that go on from where a running one stands.
struct CloneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clone",
        abstract: "Start copies of a running machine from its present state; the original keeps running.",
        discussion: """
            The machine is saved, which takes a moment, and the clones go on from there. They share the memory that they do \
            not write, and have private copies of the disks, which end with them.
            """
    )

    @OptionGroup var machine: MachineArgument

    @Argument(help: "The name of the new machine.")
    var new: String

    @Option(help: "Start this many: NEW-1, NEW-2, ...")
    var count: Int?

    @Flag(name: .customLong("rm"), help: "Remove each clone as soon as it has ended.")
    var remove = false

    @OptionGroup var jailing: JailOptions

    func validate() throws {
        if let count, !(1...1000 ~= count) { throw ValidationError("--count takes 1 to 1000.") }
        try jailing.validate(in: .on, user: nil, advice: "needs another user: clone the machine as that one")
        _ = try RunCommand.names(new, count: count)
    }

    func run() throws {
        let client = try machine.client()
        let names = try RunCommand.names(new, count: count)
        let folder = try TemporarySnapshot(
            in: ProcessArguments.temporaryFolder.absolute
        )
        // It may have the size of the guest's memory. The watch keeps it for as long as the process lives.
        defer { folder.remove() }
        let partial = PartialSnapshot()
        try SignalWatch([SIGINT, SIGTERM, SIGHUP, SIGQUIT]) { signal in
            partial.remove()
            folder.remove()
            Terminal.endProcess(bySignal: signal)
        }
        try client.save(to: partial.make(folder.path))
        let snapshot = try MachineSnapshot(folder.path)
        guard snapshot.machine.configuration.networkInterfaces.isEmpty else {
            throw RegistryError(
                "'\(machine.name)' has network interfaces, and a clone needs its own: use `martlet snapshot save` and `martlet run --restore --net`"
            )
        }
        var options = RestoreOptions()
        // Disks that the guest cannot write to are shared. Their paths come from the machine's process, which its guest may have
        // broken into: so they are only read, and only those that a machine has as its disks.
        let description = try client.request("GET", "/vm/config").decode(as: MachineConfiguration.self)
        let saved = snapshot.machine.configuration.drives
        for disk in snapshot.machine.disks where !disk.isCopied {
            let path = FilePath(hostText: description.drives.first { $0.id == disk.id }?.path ?? "")
            guard path.isAbsolute, saved.first(where: { $0.id == disk.id })?.isReadOnly == true, DiskFile.isInUse(path)
            else { throw RegistryError("disk \(disk.id) of '\(machine.name)' has no file that a clone could share") }
            options.drives[disk.id] = path
        }
        let source = MachineSource(restoring: snapshot, from: folder.path, options)
        var sandbox = Sandbox.Settings()
        sandbox.jail = try jailing.folders()
        let launcher = MachineLauncher(in: try RuntimeFolder.ofThisUser(), sandbox: sandbox)
        for name in names {
            let clone = try launcher.launch(name, source, isRemovedAtEnd: remove)
            try StandardOutput.write(line: clone.folder.name.text)
        }
    }
}
