// SPDX-License-Identifier: Apache-2.0

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
