// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestAgent
import Host
import SystemPackage
import TestSupport
import Testing

/// Programs on their way to the process of their machine.
struct MachineProgramTests {
    private func copy(_ file: FileDescriptor) throws -> OwnedDescriptor { try OwnedDescriptor(duplicating: file) }

    @Test func `a program's description reaches the machine's process whole`() throws {
        var program = GuestProgram(["sh", "-c", "true"])
        program.hasTerminal = true
        program.environment = ["SECRET=" + String(repeating: "x", count: 60_000)]
        let written = try MachineProgram(program, image: "box", hasInput: true, stopSignal: 3)
        let read = try MachineProgram(adopting: try copy(written.descriptor))
        #expect(read.header == written.header)
        #expect(read.header.image == "box" && read.header.arguments == ["sh", "-c", "true"])
        #expect(read.header.hasTerminal && read.header.hasInput && read.header.stopSignal == 3)
    }

    @Test func `a file that a container cannot get is missed before its machine starts`() {
        var program = GuestProgram(["true"])
        var container = GuestContainer(base: "/dev/vda")
        container.mounts = [.files(at: "/nonexistent", target: "/x", isReadOnly: true)]
        program.place = .newContainer(container)
        let error = #expect(throws: AgentError.self) { try MachineProgram(program, hasInput: false) }
        #expect(error?.description.contains("/nonexistent") == true)
    }

    /// The bytes by which a program with a mount is described.
    private func description(with mount: GuestContainer.Mount) throws -> [UInt8] {
        var program = GuestProgram(["true"])
        var container = GuestContainer(base: "/dev/vda")
        container.mounts = [mount]
        program.place = .newContainer(container)
        let written = try MachineProgram(program, hasInput: false)
        try written.descriptor.seek(offset: 0, from: .start)
        return try withExtendedLifetime(written) { try FileContents.bytes(of: written.descriptor, limit: 1 << 20) }
    }

    @Test func `files that were staged become the same messages, with what their links lead to`() throws {
        let folder = try TemporaryFolder()
        for name in ["tree", "linked"] {
            try checked("mkdir", unsafe mkdir("\(folder.path)/\(name)", 0o755))
            _ = try folder.write(Array(repeating: 7, count: 100_000), to: "\(name)/one")
        }
        _ = try folder.write(Array("text".utf8), to: "tree/two")
        _ = try folder.write(Array("text".utf8), to: "other")
        try checked("symlink", unsafe symlink("../other", "\(folder.path)/linked/two"))
        var times = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
        for name in ["tree", "linked", "tree/one", "linked/one", "tree/two", "other"] {
            try checked("utimensat", unsafe utimensat(AT_FDCWD, "\(folder.path)/\(name)", &times, 0))
        }
        var files = StagedFiles()
        try files.copy(FilePath("\(folder.path)/linked"), to: FilePath("\(folder.path)/staged"))
        let plain = try description(
            with: .files(at: FilePath("\(folder.path)/tree"), target: "/x", isReadOnly: true)
        )
        let staged = try description(
            with: .staged(at: FilePath("\(folder.path)/staged"), target: "/x", isReadOnly: true)
        )
        #expect(staged == plain)
    }

    @Test func `what is too large for a guest's memory is not staged, and links that never end are not followed`()
        throws
    {
        let folder = try TemporaryFolder()
        let large = FilePath(try folder.write([], to: "large"))
        try checked("truncate", unsafe truncate(large.string, 10 << 20))
        var files = StagedFiles()
        try files.copy(large, to: FilePath("\(folder.path)/first"))
        #expect(throws: AgentError.host("\(large): too much for the guest's memory")) {
            try files.copy(large, to: FilePath("\(folder.path)/second"))
        }
        try checked("mkdir", unsafe mkdir("\(folder.path)/round", 0o755))
        try checked("symlink", unsafe symlink(".", "\(folder.path)/round/again"))
        #expect(throws: AgentError.self) {
            try files.copy(FilePath("\(folder.path)/round"), to: FilePath("\(folder.path)/third"))
        }
    }

    @Test(arguments: ["", "xx", "\u{ff}\u{ff}\u{ff}\u{ff}", "\u{2}\0\0\0[]"])
    func `a file that is no program's is refused`(text: String) throws {
        let folder = try TemporaryFolder()
        let bytes = text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
        let file = try FileDescriptor.open(FilePath(try folder.write(bytes, to: "program")), .readOnly)
        _ = try file.closeAfter {
            #expect(throws: AgentError.unusable("the file does not describe a program")) {
                try MachineProgram(adopting: try copy(file))
            }
        }
    }
}
