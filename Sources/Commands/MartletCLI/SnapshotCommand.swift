// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import GuestMemory
import Host
import JSON
import Machine
import MachineAPI
import MachineRegistry
import Snapshot
import SystemPackage

/// `martlet snapshot`: machines in files.
struct SnapshotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot",
        abstract: "Save a running machine to files, and manage them.",
        discussion: """
            A snapshot is a folder. `martlet run --restore DIR` goes on with it, any number of times.
            It holds all of the guest's memory, secrets included: only you can read it.
            """,
        subcommands: [
            SnapshotSaveCommand.self, SnapshotInspectCommand.self, SnapshotVerifyCommand.self,
            SnapshotMergeCommand.self, SnapshotPackCommand.self, SnapshotUnpackCommand.self, SnapshotRemoveCommand.self,
            SnapshotListCommand.self,
            SnapshotPruneCommand.self,
        ]
    )
}

/// A snapshot on the command line.
struct SnapshotArgument: ParsableArguments {
    @Argument(help: "The snapshot's folder.", completion: .directory)
    var folder: String

    var path: FilePath { FilePath(hostText: folder) }
}

/// `martlet snapshot save`.
struct SnapshotSaveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "save",
        abstract: "Save a running machine; it continues when that is done.",
        discussion: """
            Disks that the guest can write to are copied into the snapshot. Whatever interrupts this leaves the snapshot that \
            was there before, the whole new one, or nothing.
            """
    )

    @OptionGroup var machine: MachineArgument
    @OptionGroup var snapshot: SnapshotArgument

    @Flag(help: "Replace an existing snapshot.")
    var replace = false

    @Flag(help: "End the machine when it is saved; it does not run in between.")
    var stop = false

    @Option(
        help: ArgumentHelp(
            """
            The disks that are copied into the snapshot: copy (those that the guest can write to) or none; a restore is \
            told the files of the others.
            """,
            valueName: "which"
        )
    )
    var disks = SaveOptions.Disks.writable

    @Option(
        help: ArgumentHelp(
            "Save only the differences from this snapshot of the machine; `martlet snapshot merge` combines the two.",
            valueName: "folder"
        ),
        completion: .directory
    )
    var diffOf: String?

    func run() throws {
        let client = try machine.client()
        let (wasPaused, folder) = (try client.isPaused, client.folder)
        let partial = PartialSnapshot()
        try SignalWatch([SIGINT, SIGTERM, SIGHUP, SIGQUIT]) { signal in
            partial.remove()
            // It may stand already, to be ended when the snapshot has its name.
            if stop, !wasPaused { try? MachineClient(folder).resume(until: .after(.seconds(10))) }
            Terminal.endProcess(bySignal: signal)
        }
        let draft = try partial.make(snapshot.path.absolute, replacing: replace)
        try client.save(
            to: draft,
            disks: disks,
            changedFrom: diffOf.map { FilePath(hostText: $0).absolute },
            thenStops: stop
        )
    }
}

/// `martlet snapshot inspect`.
struct SnapshotInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what a snapshot holds, as JSON."
    )

    @OptionGroup var snapshot: SnapshotArgument

    func run() throws {
        let saved = try MachineSnapshot(snapshot.path).machine
        let description: JSONValue = [
            "format": .string(SnapshotVersion.current.description),
            "saved_at": .integer(saved.time),
            "host": try JSONValue(encoding: saved.host),
            "configuration": saved.configuration.json,
            "guest": try JSONValue(encoding: saved.guest),
            "disks": try JSONValue(encoding: saved.disks),
        ]
        printAnswer(description.text)
    }
}

/// `martlet snapshot verify`.
struct SnapshotVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check a snapshot's memory against its checksums, and that all of its files exist."
    )

    @OptionGroup var snapshot: SnapshotArgument

    func run() throws {
        guard try Self.isWhole(snapshot.path) else { throw ExitCode.failure }
    }

    /// Compares a snapshot's memory with its checksums, and prints differences.
    ///
    /// - Returns: Whether all is as it was saved.
    /// - Throws: `SnapshotError`.
    static func isWhole(_ path: FilePath) throws -> Bool {
        let opened = try MachineSnapshot(path)
        _ = try opened.folder.console()
        let description = opened.machine.memory
        let file = try opened.memory()
        for disk in opened.machine.disks where disk.isCopied {
            _ = try opened.folder.disk(disk.id, byteCount: disk.byteCount)
        }
        let damage = try description.damage(in: file)
        for range in damage {
            printAnswer(
                """
                \(file.path): guest memory from 0x\(String(range.lowerBound, radix: 16)) to \
                0x\(String(range.upperBound, radix: 16)) is not as it was saved
                """
            )
        }
        return damage.isEmpty
    }
}

/// `martlet snapshot merge`.
struct SnapshotMergeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Combine a snapshot with one that has only differences from it (`save --diff-of`)."
    )

    @Argument(help: "The full snapshot.", completion: .directory)
    var base: String

    @Argument(help: "The snapshot that has only differences.", completion: .directory)
    var differences: String

    @OptionGroup var snapshot: SnapshotArgument

    func run() throws {
        let base = try MachineSnapshot(FilePath(hostText: base))
        try MachineSnapshot(FilePath(hostText: differences)).merge(into: base, as: snapshot.path)
    }
}

/// `martlet snapshot pack`.
struct SnapshotPackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pack",
        abstract: "Pack a snapshot into one file, compressed by zstd, to move it to another host."
    )

    @OptionGroup var snapshot: SnapshotArgument

    @Argument(help: "The file to create.", completion: .file())
    var file: String

    func run() throws {
        try SnapshotPack.pack(snapshot.path, to: FilePath(hostText: file))
    }
}

/// `martlet snapshot unpack`.
struct SnapshotUnpackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unpack",
        abstract: "Unpack a file that `pack` has made, and verify the snapshot."
    )

    @Argument(help: "The file.", completion: .file())
    var file: String

    @OptionGroup var snapshot: SnapshotArgument

    func run() throws {
        try SnapshotPack.unpack(FilePath(hostText: file), to: snapshot.path)
        var isWhole = false
        defer { if !isWhole { try? SnapshotRemoval.removeWhole(snapshot.path) } }
        isWhole = try SnapshotVerifyCommand.isWhole(snapshot.path)
        guard isWhole else { throw ExitCode.failure }
    }
}

/// `martlet snapshot rm`.
struct SnapshotRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove a snapshot; machines restored from it keep running."
    )

    @OptionGroup var snapshot: SnapshotArgument

    func run() throws {
        try SnapshotRemoval.removeWhole(snapshot.path)
    }
}

/// `martlet snapshot ls`.
struct SnapshotListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List the snapshots that `martlet run` and martlet-runtime restore instead of booting."
    )

    func run() throws {
        var table = TextTable("SNAPSHOT", "AGE", "SIZE")
        for entry in ReadySnapshots.all.flatMap(\.entries) {
            let size = "\((entry.byteCount + (1 << 20) - 1) >> 20) MiB"
            table.append(entry.path.string, RunCommand.age(seconds: Int64(time(nil)) - entry.time), size)
        }
        printAnswer(table)
    }
}

/// `martlet snapshot prune`.
struct SnapshotPruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract:
            "Remove the snapshots that `martlet run` and martlet-runtime restore: the next run boots and saves a new one."
    )

    @Option(help: "Keep this many of the newest snapshots of each of the two.")
    var keep = 0

    func validate() throws {
        if keep < 0 { throw ValidationError("--keep takes a number that is not negative.") }
    }

    func run() throws {
        for entry in ReadySnapshots.all.flatMap({ $0.prune(keeping: keep) }) { printAnswer(entry.path.string) }
    }
}

extension SaveOptions.Disks: ExpressibleByArgument {}
