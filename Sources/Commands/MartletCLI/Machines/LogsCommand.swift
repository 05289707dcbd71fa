// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Console
import Glibc
import Host
import Machine
import MachineRegistry
import SystemPackage

/// `martlet logs`: shows the console output of a guest.
struct LogsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Show the console output of a guest, even after its machine has ended."
    )

    @OptionGroup var machine: MachineArgument

    @Flag(name: .shortAndLong, help: "Follow new output until the machine ends.")
    var follow = false

    @Flag(help: "Show the messages of the machine's process instead.")
    var monitor = false

    func run() throws {
        let machine = try machine.folder().open()
        var output = LogOutput()
        if monitor {
            if let log = try LogFile(.monitorLog, of: machine) { try output.showRest(of: log) }
            return try output.finish()
        }
        // The newest first: where it becomes the older one meanwhile, that shows, and no file is missed between them.
        var newest = try LogFile(.consoleLog, of: machine)
        if let older = try LogFile(.olderConsoleLog, of: machine), older != newest { try output.showRest(of: older) }
        while true {
            // Asked first: what came before the end is in the file by then.
            let goesOn = follow && machine.isAlive
            if let newest { try output.showRest(of: newest) }
            guard goesOn else { return try output.finish() }
            if let next = try LogFile(.consoleLog, of: machine), next != newest {
                if let newest { try output.showRest(of: newest) }
                newest = next
            } else {
                usleep(100_000)
            }
        }
    }
}

/// Standard output, which shows control characters on a terminal; a file or pipe gets every byte as the guest sent it.
private struct LogOutput {
    private var filter = Terminal.isTerminal(.standardOutput) ? PrintableStream() : nil

    mutating func showRest(of file: LogFile) throws {
        while true {
            let bytes = try file.descriptor.readSome(limit: 1 << 16)
            guard !bytes.isEmpty else { return }
            try StandardOutput.write(filter?.process(bytes) ?? bytes)
        }
    }

    mutating func finish() throws {
        try StandardOutput.write(filter?.finish() ?? [])
    }
}

/// One of the files of a machine's logs, open; it stays itself when it gets another name.
private final class LogFile: Equatable {
    private let owned: OwnedDescriptor
    private let status: Stat

    /// `nil` where it does not exist: the guest has sent less, or the next one is about to begin.
    ///
    /// A file larger than any log, which another program has made, is shown from where a log would begin.
    init?(_ item: MachineFolder.Item, of machine: OpenMachine) throws {
        guard let file = try machine.openFile(item) else { return nil }
        owned = file
        status = try owned.borrowed.stat()
        let excess = off_t(status.size) - off_t(2 * ConsoleLog.capacity)
        if excess > 0 { _ = lseek(owned.rawValue, excess, SEEK_SET) }
    }

    var descriptor: FileDescriptor { owned.borrowed }

    static func == (one: LogFile, other: LogFile) -> Bool { one.status.isSameFile(as: other.status) }
}
