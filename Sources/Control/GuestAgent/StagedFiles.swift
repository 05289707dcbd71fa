// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// Copies of files and folders of the host for one container, each kept in a file as the messages that make it in a guest.
///
/// The process that sends them need not have the right to read the originals, nor any right to give a file another owner.
package struct StagedFiles {
    private var budget = FileTransfer.Budget.ofContainer

    package init() {}

    /// Copies a file, or a folder with its contents, following links.
    ///
    /// - Throws: `AgentError.host`, also where all copies together are too large for a guest.
    package mutating func copy(_ source: FilePath, to path: FilePath) throws(AgentError) {
        let file = try Self.open(path, O_WRONLY | O_CREAT | O_EXCL)
        try FileTransfer.send(source, within: &budget, following: .all) { message throws(AgentError) in
            do throws(Errno) { try file.borrowed.write(all: message.bytes) } catch {
                throw .host("cannot write \(path): \(error)")
            }
        }
    }

    private static func open(_ path: FilePath, _ flags: CInt) throws(AgentError) -> OwnedDescriptor {
        do throws(Errno) { return try OwnedDescriptor(opening: path, flags) } catch {
            throw .host("cannot open \(path): \(error)")
        }
    }

    static func send(_ path: FilePath, to send: (AgentMessage) throws(AgentError) -> Void) throws(AgentError) {
        var parser = AgentMessageParser()
        let file = try open(path, O_RDONLY)
        while true {
            let bytes: [UInt8]
            do throws(Errno) { bytes = try file.borrowed.readSome(limit: AgentMessage.payloadLimit) } catch {
                throw .host("cannot read \(path): \(error)")
            }
            guard !bytes.isEmpty else { return }
            parser.append(bytes)
            while let message = try parser.next() { try send(message) }
        }
    }
}
