// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import Machine
import MachineModel
import MachineRegistry
import Snapshot
import SystemPackage

/// The options of `martlet run` for a machine that is restored from a snapshot.
struct RestoreArguments: ParsableArguments {
    @Option(
        name: .customLong("restore"),
        help: ArgumentHelp(
            "Restore a machine that `martlet snapshot save` saved, instead of booting one.",
            valueName: "folder"
        ),
        completion: .directory
    )
    var folder: String?

    @Option(help: "Restore this many machines from the snapshot: NAME-1, NAME-2, ...; with --detach.")
    var count: Int?

    @Flag(help: "Leave the machine paused until `martlet resume`.")
    var paused = false

    @Option(
        help: ArgumentHelp(
            """
            The time from which a guest on kvm-clock continues: catch-up (the host's time) or continue (the time of the \
            save). (default: catch-up)
            """,
            valueName: "time"
        )
    )
    var clock: ClockChoice?

    @Flag(help: "Keep the guest's identity: its random numbers continue from the saved state. For one machine only.")
    var sameIdentity = false

    /// Indicates whether anything is said but the folder.
    var areOthersGiven: Bool { count != nil || paused || clock != nil || sameIdentity }
}

/// The time at which a restored guest continues.
enum ClockChoice: String, ExpressibleByArgument, CaseIterable {
    case catchUp = "catch-up"
    case `continue`
}

extension RunCommand {
    func validateRestored() throws {
        guard restoring.folder != nil else {
            if restoring.areOthersGiven {
                throw ValidationError("--count, --paused, --clock and --same-identity need --restore.")
            }
            if disks.contains(where: { !$0.drive.id.isEmpty }) {
                throw ValidationError("--disk PATH,drive=ID names a disk of a saved machine: it needs --restore.")
            }
            return
        }
        let isDescribed =
            kernel != nil || initrd != nil || config != nil || keep != nil || cmdline != nil || cmdlineOnly != nil
            || cpus != nil || memory != nil || entry != nil || noEntropy || exitStatusPort
        guard !isDescribed else {
            throw ValidationError(
                "--restore takes the machine from the snapshot: kernel, command line, size and devices cannot be chosen."
            )
        }
        if case .file = console { throw ValidationError("With --restore the console is stdio or none.") }
        for disk in disks {
            var plain = Drive(disk.drive.id, path: disk.drive.path)
            plain.martlet = disk.drive.martlet
            guard !disk.drive.id.isEmpty, plain == disk.drive, plain.martlet == nil else {
                throw ValidationError(
                    "With --restore a disk is PATH,drive=ID; `martlet snapshot inspect` shows the machine's disks."
                )
            }
        }
        if let count = restoring.count {
            guard 1...1000 ~= count else { throw ValidationError("--count takes 1 to 1000.") }
            guard naming.detach else {
                throw ValidationError("--count starts machines in the background: add --detach.")
            }
            if restoring.sameIdentity, count > 1 {
                throw ValidationError("Only one machine can keep the guest's identity: leave out --count.")
            }
        }
        if restoring.paused, !isNamed, apiSocket == nil {
            throw ValidationError("--paused needs --name, --detach or --api-socket: nobody else could resume it.")
        }
    }

    /// Lets a saved machine go on, or several.
    ///
    /// - Throws: The reason why it cannot be restored.
    func runRestored(_ folder: String) throws -> ExitCode {
        let path = FilePath(hostText: folder).absolute
        var options = RestoreOptions()
        options.isPaused = restoring.paused
        options.keepsIdentity = restoring.sameIdentity
        options.followsHostClock = restoring.clock != .continue
        for disk in disks { options.drives[disk.drive.id] = FilePath(hostText: disk.drive.path) }
        let snapshot = try MachineSnapshot(path)
        try network.apply(to: &options, of: snapshot.machine.configuration)
        guard isNamed else { return try runHere(.restore(snapshot, options)) }
        let source = MachineSource(restoring: snapshot, from: path, options)
        for name in try Self.names(naming.name, count: restoring.count) {
            _ = try namedStart.launch(source, name: name)
        }
        return .success
    }

    /// The names of machines that are started together: NAME, or NAME-1, NAME-2, ...
    ///
    /// `name` is `nil` for names that are free, `count` for one machine with this name.
    static func names(_ name: String?, count: Int?) throws -> [MachineName?] {
        try (1...(count ?? 1)).map { number in
            try name.map { try MachineName(argument: count == nil ? $0 : "\($0)-\(number)") }
        }
    }
}
