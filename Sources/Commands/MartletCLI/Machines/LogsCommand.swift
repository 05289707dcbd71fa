// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import Host
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
        let output = LogOutput()
        if monitor { return try output.show(folder.contents(of: folder.monitorLog) ?? []) }
        // The newest first: where it becomes the older one meanwhile, that shows, and no file is missed between them.
        var newest = try LogFile(folder.consoleLog)
        if let older = try LogFile(folder.olderConsoleLog), older != newest { try showRest(of: older, to: output) }
        while true {
            // Asked first: what came before the end is in the file by then.
            let goesOn = follow && folder.isAlive
            if let newest { try showRest(of: newest, to: output) }
            guard goesOn else { return }
            if let next = try LogFile(folder.consoleLog), next != newest {
                if let newest { try showRest(of: newest, to: output) }
                newest = next
            } else {
                usleep(100_000)
            }
        }
    }

    private func showRest(of file: LogFile, to output: LogOutput) throws {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = try unsafe buffer.withUnsafeMutableBytes { try unsafe file.descriptor.read(into: $0) }
            guard count > 0 else { return }
            try output.show(Array(buffer.prefix(count)))
        }
    }
}

/// Standard output, which cleans what a terminal would obey; a file or pipe gets every byte as the guest sent it.
private final class LogOutput {
    private var filter = Terminal.isTerminal(.standardOutput) ? PrintableStream() : nil

    func show(_ bytes: [UInt8]) throws {
        let shown = filter?.process(bytes) ?? bytes
        do throws(Errno) {
            try FileDescriptor.standardOutput.write(all: shown)
        } catch {
            throw error == .brokenPipe ? ExitCode.success : error
        }
    }
}

/// One of the two files of a console's log, open; it stays itself when it gets another name.
private final class LogFile: Equatable {
    private let owned: OwnedDescriptor
    private let device: dev_t
    private let inode: ino_t

    /// `nil` where it is not there: the guest has sent less, or the next one is just about to begin.
    init?(_ path: FilePath) throws {
        do {
            let file = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .noFollow])
            owned = OwnedDescriptor(adopting: file.rawValue)
        } catch Errno.noSuchFileOrDirectory {
            return nil
        }
        var status = stat()
        guard unsafe fstat(owned.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
        (device, inode) = (status.st_dev, status.st_ino)
    }

    var descriptor: FileDescriptor { owned.borrowed }

    static func == (one: LogFile, other: LogFile) -> Bool {
        (one.device, one.inode) == (other.device, other.inode)
    }
}
