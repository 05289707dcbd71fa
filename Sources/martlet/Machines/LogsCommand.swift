// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import HostEvents
import MachineRegistry
import SystemPackage

/// `martlet logs`: what a guest sent to its console.
struct LogsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Show what a guest sent to its console, also when its machine has ended."
    )

    @OptionGroup var machine: MachineArgument

    @Flag(name: .shortAndLong, help: "Go on with what comes, until the machine ends.")
    var follow = false

    @Flag(help: "What the machine's process itself had to say.")
    var monitor = false

    func run() throws {
        let folder = try machine.folder()
        if monitor { return try show(folder.contents(of: folder.monitorLog) ?? []) }
        if !follow {
            try show(folder.contents(of: folder.olderConsoleLog) ?? [])
            return try show(folder.contents(of: folder.consoleLog) ?? [])
        }
        try show(folder.contents(of: folder.olderConsoleLog) ?? [])
        var file = try open(folder)
        while true {
            // Asked first: what came before the end is in the file by then.
            let isAlive = folder.isAlive
            try showRest(of: file)
            guard isAlive else { return }
            if try wasReplaced(file, in: folder) {
                try showRest(of: file)
                file = try open(folder)
            } else {
                usleep(100_000)
            }
        }
    }

    private func open(_ folder: MachineFolder) throws -> OwnedDescriptor {
        let file = try FileDescriptor.open(folder.consoleLog, .readOnly, options: [.closeOnExec, .noFollow])
        return OwnedDescriptor(adopting: file.rawValue)
    }

    private func showRest(of file: borrowing OwnedDescriptor) throws {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = try unsafe buffer.withUnsafeMutableBytes { try unsafe file.borrowed.read(into: $0) }
            guard count > 0 else { return }
            try show(buffer.prefix(count))
        }
    }

    /// Whether the file was full, and a new one has begun.
    private func wasReplaced(_ file: borrowing OwnedDescriptor, in folder: MachineFolder) throws -> Bool {
        var (opened, named) = (stat(), stat())
        guard unsafe fstat(file.rawValue, &opened) == 0 else { throw Errno(rawValue: errno) }
        guard unsafe folder.consoleLog.withPlatformString({ unsafe stat($0, &named) }) == 0 else { return false }
        return opened.st_ino != named.st_ino
    }

    private func show(_ bytes: some Sequence<UInt8>) throws {
        do {
            try FileDescriptor.standardOutput.writeAll(bytes)
        } catch Errno.brokenPipe {
            throw ExitCode.success
        }
    }
}
