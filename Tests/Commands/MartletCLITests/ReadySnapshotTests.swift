// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage
import TestSupport
import Testing

/// The default guest, which boots once and is restored later.
@Suite(
    .serialized,
    .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
    .enabled(if: GuestImages.isExpected, "\(GuestImages.reason)")
)
struct ReadySnapshotTests {
    private let cache: TemporaryFolder

    init() throws {
        cache = try TemporaryFolder()
    }

    private func martlet(_ arguments: String...) -> Martlet {
        var martlet = Martlet(arguments)
        martlet.environment["XDG_CACHE_HOME"] = cache.path
        return martlet
    }

    /// Runs the default guest to its prompt, gives its random number, and ends it.
    private func run() throws -> (uuid: String, messages: String) {
        try martlet("run").onTerminal.run { martlet in
            try martlet.output.read(until: LinuxShell.prompt, within: LinuxShell.patience)
            let shell = LinuxShell(martlet: martlet)
            let uuid = try shell.run("cat /proc/sys/kernel/random/uuid")
            try shell.start("poweroff")
            let end = try martlet.end(within: LinuxShell.patience)
            #expect(end.termination == .exited(0), "\(end.messages)")
            return (uuid, end.messages)
        }
    }

    @Test func `the snapshots that containers of engines go on from are listed and removed too`() throws {
        let template = cache.path + "/martlet/templates/0123456789abcdef0123456789abcdef"
        try FolderTree.make(FilePath(template))
        for name in ["/state", "/memory", ".whole"] { try FileContents.write([1], to: FilePath(template + name)) }
        #expect(try martlet("snapshot", "ls").runToEnd().text.contains(template))
        let pruned = try martlet("snapshot", "prune").runToEnd()
        #expect(pruned.text == template + "\n", "\(pruned.text) \(pruned.messages)")
        #expect(try FolderListing.names(in: cache.path + "/martlet/templates").isEmpty)
    }

    @Test func `the default guest boots the first time, and later goes on from there`() throws {
        #expect(try martlet("snapshot", "ls").runToEnd().text.split(separator: "\n").count == 1)
        // A machine that was typed at before its shell ran is not saved: later ones would run that line again.
        try martlet("run").onTerminal.run { martlet in
            try martlet.messages.read(until: "Ctrl-a h helps")
            let shell = LinuxShell(martlet: martlet)
            try shell.start("poweroff")
            #expect(try martlet.end(within: LinuxShell.patience).termination == .exited(0))
        }
        #expect(try martlet("snapshot", "ls").runToEnd().text.split(separator: "\n").count == 1)
        let first = try run()
        #expect(!first.messages.contains("restored"))
        let list = try martlet("snapshot", "ls").runToEnd().text.split(separator: "\n")
        #expect(list.count == 2, "\(list)")
        let restored = try (0..<2).map { _ in try run() }
        for run in restored {
            #expect(run.messages.contains("restored from a snapshot of this guest, taken"), "\(run.messages)")
            #expect(run.messages.contains("--boot boots it"))
        }
        let uuids = ([first] + restored).map(\.uuid)
        #expect(Set(uuids).count == 3, "\(uuids)")
        // One that is damaged is not found, and the next boot replaces it: here a byte of memory.
        let path = try #require(list.last?.split(separator: " ").first.map(String.init))
        let memory = try OwnedDescriptor(opening: FilePath(path + "/memory"), O_WRONLY)
        #expect(unsafe pwrite(memory.rawValue, "x", 1, 1 << 20) == 1)
        #expect(try martlet("snapshot", "verify", path).runToEnd().termination == .exited(1))
        #expect(try !run().messages.contains("restored"))
        let verified = try martlet("snapshot", "verify", path).runToEnd()
        #expect(verified.termination == .exited(0), "\(verified.messages)")
        let pruned = try martlet("snapshot", "prune").runToEnd()
        #expect(pruned.text.split(separator: "\n").count == 1, "\(pruned.text) \(pruned.messages)")
        #expect(try martlet("snapshot", "ls").runToEnd().text.split(separator: "\n").count == 1)
    }
}
