// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import Host
package import JSON
package import SystemPackage

/// A program that a machine is started for, in a file of memory: so that it can be handed to the machine's process.
///
/// The file has a number of four bytes, so many bytes of JSON (`Header`), and the agent's messages up to RUN, but for the first.
package final class MachineProgram: Sendable {
    /// The facts about a program that its machine's process needs.
    package struct Header: Codable, Hashable, Sendable {
        /// The image, as its user calls it; for those who ask.
        package var image = ""
        package var arguments: [String] = []
        /// The surroundings of the program, which others in its container have too unless they say otherwise.
        package var environment: [String] = []
        package var folder = ""
        package var user: UInt32 = 0
        package var group: UInt32 = 0
        package var hasTerminal = false
        /// Indicates whether the program gets standard input; it is at its end at once else.
        package var hasInput = false
        /// The number of the signal that asks the program to end.
        package var stopSignal = SIGTERM

        package init() {}

        /// Reads a machine's description of its program.
        ///
        /// - Parameter json: The header, and more; null where there is no program.
        /// - Throws: `JSONError` where it is not a header.
        package init?(describedBy json: JSONValue) throws {
            guard case .object(var object) = json else { return nil }
            object["running"] = nil
            self = try JSONValue.object(object).decode()
        }

        enum CodingKeys: String, CodingKey {
            case image, arguments, environment, folder, user, group
            case hasTerminal = "terminal"
            case hasInput = "input"
            case stopSignal = "stop_signal"
        }
    }

    package let header: Header
    private let file: OwnedDescriptor
    /// The place of the first message in the file.
    private let start: Int64

    /// Writes a program down, with the files that its container gets copies of.
    ///
    /// `image` is the name that its user calls it by.
    package init(
        _ program: GuestProgram,
        image: String = "",
        hasInput: Bool,
        stopSignal: CInt = SIGTERM
    ) throws(AgentError) {
        var header = Header()
        (header.image, header.arguments, header.hasTerminal) = (image, program.arguments, program.hasTerminal)
        (header.hasInput, header.stopSignal) = (hasInput, stopSignal)
        (header.environment, header.folder) = (program.environment, program.folder)
        (header.user, header.group) = (program.user?.id ?? 0, program.user?.group ?? 0)
        let raw = unsafe chost_memory_file("program")
        guard raw >= 0 else { throw .host("no file for the program's description: \(Errno(rawValue: -raw))") }
        file = OwnedDescriptor(adopting: raw)
        let bytes: [UInt8]
        do {
            bytes = Array(try JSONValue(encoding: header).text.utf8)
        } catch {
            throw .unusable("the program cannot be described: \(error)")
        }
        (self.header, start) = (header, Int64(4 + bytes.count))
        var draft = AgentMessage.bytes(UInt32(bytes.count)) + bytes
        func write() throws(AgentError) {
            do throws(Errno) { try file.borrowed.write(all: draft) } catch {
                throw .host("cannot write the program's description: \(error)")
            }
            draft.removeAll(keepingCapacity: true)
        }
        try program.send { message throws(AgentError) in
            guard message.kind != .hello else { return }
            draft += message.bytes
            if draft.count >= AgentMessage.payloadLimit { try write() }
        }
        try write()
    }

    /// Takes over a file that another process wrote.
    ///
    /// - Throws: `AgentError.unusable` where it does not describe a program.
    package init(adopting file: consuming OwnedDescriptor) throws(AgentError) {
        let borrowed = file.borrowed
        func read(_ count: Int, at offset: UInt64) -> [UInt8] {
            (try? borrowed.bytes(count: count, at: offset)) ?? []
        }
        var length = AgentPayload(read(4, at: 0))
        let count = Int(length.number(UInt32.self))
        guard count <= 4 << 20, let header = try? JSONValue(parsing: read(count, at: 4)).decode(as: Header.self) else {
            throw .unusable("the file does not describe a program")
        }
        (self.header, start) = (header, Int64(4 + count))
        self.file = file
    }

    /// The file, for another process.
    package var descriptor: FileDescriptor { file.borrowed }

    /// Adds the messages that start the program, with this moment's time.
    func send(over connection: AgentConnection) throws(AgentError) {
        try connection.add(AgentMessage(.hello, AgentMessage.bytes(AgentMessage.podVersion)).bytes)
        try connection.add(GuestContainer.Time.now.message.bytes)
        guard lseek(file.rawValue, off_t(start), SEEK_SET) >= 0 else {
            throw .host("the program's description cannot be read: \(Errno(rawValue: errno))")
        }
        while true {
            let bytes: [UInt8]
            do throws(Errno) { bytes = try file.borrowed.readSome(limit: AgentMessage.payloadLimit) } catch {
                throw .host("the program's description cannot be read: \(error)")
            }
            guard !bytes.isEmpty else { return }
            try connection.add(bytes)
        }
    }
}
