// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import GuestAgent
import Host
import MachineRegistry
import SystemPackage

/// `martlet cp`: files between this host and a running machine.
struct CopyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cp",
        abstract: "Copy files and folders between this host and a running machine's guest.",
        discussion: """
            One of the two paths is the guest's: NAME:PATH. A folder is copied with all that is in it, into the target where \
            that is a folder, else under its name. Owners and set-user-ID bits are not taken over from a guest.
            """
    )

    @Argument(help: "The source: a path, or NAME:PATH for one in the guest.", completion: .file())
    var source: String

    @Argument(help: "The destination: NAME:PATH, or a path of this host.", completion: .file())
    var target: String

    func validate() throws {
        guard (Self.place(source) == nil) != (Self.place(target) == nil) else {
            throw ValidationError("One argument must be NAME:PATH, the other a path of this host.")
        }
    }

    func run() throws {
        if let (machine, path) = Self.place(source) {
            try Self.connection(machine).get(path, to: FilePath(hostText: target), in: GuestContainer.onlyName)
        } else if let (machine, path) = Self.place(target) {
            try Self.connection(machine).put(FilePath(hostText: source), at: path, in: GuestContainer.onlyName)
        }
    }

    /// The machine and the path of `NAME:PATH`; `nil` for a path of this host, such as `./a:b`.
    private static func place(_ text: String) -> (MachineName, String)? {
        guard let colon = text.firstIndex(of: ":"), let name = MachineName(String(text[..<colon])) else { return nil }
        let path = String(text[text.index(after: colon)...])
        return (name, path.isEmpty ? "/" : path)
    }

    private static func connection(_ name: MachineName) throws -> AgentConnection {
        try MachineClient(try RuntimeFolder.ofThisUser().machine(name)).connectToAgent()
    }
}
