// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// Files and folders on their way between host and guest: an ENTRY for each, then its DATA.
enum FileTransfer {
    /// The number of bytes that may be sent in all.
    struct Budget {
        var byteCount: Int
        var entryCount: Int

        /// The most that a container gets: it is the guest's memory that takes it.
        static let ofContainer = Budget(byteCount: 16 << 20, entryCount: 4096)
    }

    static let depthLimit = 64

    /// The links that are followed.
    enum FollowedLinks {
        case none, first, all
    }

    static func entry(
        mode: UInt32,
        user: UInt32 = 0,
        group: UInt32 = 0,
        time: Int64 = 0,
        path: String,
        target: String = ""
    ) throws(AgentError) -> AgentMessage {
        var payload = AgentMessage.bytes(mode) + AgentMessage.bytes(user) + AgentMessage.bytes(group)
        payload += AgentMessage.bytes(time)
        payload += try AgentMessage.bytes(path) + (try AgentMessage.bytes(target))
        return AgentMessage(.entry, payload)
    }

    /// Sends a file, or a folder with all files, links and folders in it; sockets, pipes and devices are left out.
    ///
    /// `links` are those that are followed: none, the path itself where it is one, or all.
    static func send(
        _ path: FilePath,
        within budget: inout Budget,
        following links: FollowedLinks,
        to send: (AgentMessage) throws(AgentError) -> Void
    ) throws(AgentError) {
        try self.send(path, relative: "", depth: 0, within: &budget, following: links, to: send)
    }

    private static func send(
        _ path: FilePath,
        relative: String,
        depth: Int,
        within budget: inout Budget,
        following links: FollowedLinks,
        to send: (AgentMessage) throws(AgentError) -> Void
    ) throws(AgentError) {
        var status = stat()
        let result = unsafe path.withPlatformString { unsafe links == .none ? lstat($0, &status) : stat($0, &status) }
        guard result == 0 else { throw .host("cannot look at \(path): \(Errno(rawValue: errno))") }
        guard depth < depthLimit else { throw .host("\(path): folders are nested more than \(depthLimit) deep") }
        budget.entryCount -= 1
        guard budget.entryCount >= 0 else { throw .host("\(path): too many files for the guest's memory") }
        let type = status.st_mode & S_IFMT
        guard [S_IFREG, S_IFDIR, S_IFLNK].contains(type) else { return }
        var target = ""
        if type == S_IFLNK { target = try linkTarget(of: path) }
        try send(
            entry(
                mode: status.st_mode,
                user: status.st_uid,
                group: status.st_gid,
                time: Int64(status.st_mtim.tv_sec),
                path: relative,
                target: target
            )
        )
        if type == S_IFREG { return try sendContents(of: path, within: &budget, to: send) }
        guard type == S_IFDIR else { return }
        let names: [String]
        do throws(Errno) { names = try FolderListing.names(in: path.hostText) } catch {
            throw .host("cannot read \(path): \(error)")
        }
        for name in names.sorted() {
            try self.send(
                FilePath(hostText: path.hostText + "/" + name),
                relative: relative.isEmpty ? name : relative + "/" + name,
                depth: depth + 1,
                within: &budget,
                following: links == .all ? .all : .none,
                to: send
            )
        }
    }

    private static func sendContents(
        of path: FilePath,
        within budget: inout Budget,
        to send: (AgentMessage) throws(AgentError) -> Void
    ) throws(AgentError) {
        let raw = unsafe path.withPlatformString { unsafe open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard raw >= 0 else { throw .host("cannot open \(path): \(Errno(rawValue: errno))") }
        let file = OwnedDescriptor(adopting: raw)
        while true {
            let bytes: [UInt8]
            do throws(Errno) { bytes = try file.borrowed.readSome(limit: AgentMessage.payloadLimit) } catch {
                throw .host("cannot read \(path): \(error)")
            }
            guard !bytes.isEmpty else { return }
            budget.byteCount -= bytes.count
            guard budget.byteCount >= 0 else { throw .host("\(path): too much for the guest's memory") }
            try send(AgentMessage(.data, bytes))
        }
    }

    private static func linkTarget(of path: FilePath) throws(AgentError) -> String {
        do throws(Errno) { return try path.linkTarget() } catch { throw .host("cannot read \(path): \(error)") }
    }
}

extension FileTransfer {
    /// Writes files from a guest into one folder of the host, and nowhere else.
    final class Receiver {
        private let root: OwnedDescriptor
        private let name: String
        /// The file that data is for: open until the next one comes.
        private var file: OwnedDescriptor?

        /// - Parameters:
        ///   - target: A folder, or the new name of the file.
        ///   - name: Its name where the target is a folder.
        /// - Throws: `AgentError.host`.
        init(into target: FilePath, named name: String) throws(AgentError) {
            var (folder, name) = (target, name)
            if !target.isFolder {
                name = target.lastComponent.map { "\($0)" } ?? name
                folder = target.parent
            }
            do throws(Errno) { root = try OwnedDescriptor(openingFolder: folder) } catch {
                throw .host("cannot open \(folder): \(error)")
            }
            self.name = name
        }

        /// Takes an ENTRY or DATA.
        ///
        /// - Throws: `AgentError`: `.malformed` for a path that leads elsewhere.
        func take(_ message: AgentMessage) throws(AgentError) {
            switch message.kind {
            case .entry: try make(message)
            case .data:
                guard let file = file?.borrowed else { throw .malformed("it sent data without a file") }
                do throws(Errno) { try file.write(all: message.payload) } catch {
                    throw .host("cannot write \(name): \(error)")
                }
            default: throw .malformed("it sent \(message.kind) among files")
            }
        }

        private func make(_ message: AgentMessage) throws(AgentError) {
            file = nil
            var payload = AgentPayload(message.payload)
            let mode = payload.number(UInt32.self)
            _ = (payload.number(UInt64.self), payload.number(Int64.self))  // owners and times are the guest's own
            let (relative, target) = (payload.string(), payload.string())
            let path = [name] + (relative.isEmpty ? [] : relative.pathComponents)
            guard payload.isWhole, path.count <= FileTransfer.depthLimit + 1,
                !path.contains(where: ["", ".", ".."].contains)
            else { throw .malformed("it sent a file with the path '\(printable(relative))'") }
            do throws(Errno) { try make(path[...], in: root.borrowed, mode, target) } catch {
                throw .host("cannot write \(printable(path.joined(separator: "/"))): \(error)")
            }
        }

        /// Creates the file of the last component, through folders only.
        private func make(
            _ path: ArraySlice<String>,
            in folder: FileDescriptor,
            _ mode: UInt32,
            _ target: String
        ) throws(Errno) {
            guard let name = path.first else { throw .invalidArgument }
            if path.count > 1 {
                let next = try OwnedDescriptor(openingFolder: name, in: folder)
                return try make(path.dropFirst(), in: next.borrowed, mode, target)
            }
            // Not the bits that lend rights: here they would be the host's.
            let permissions = mode & 0o777
            switch mode & S_IFMT {
            case S_IFDIR:
                let result = unsafe mkdirat(folder.rawValue, name.hostCString, permissions | 0o700)
                guard result == 0 || errno == EEXIST else { throw Errno(rawValue: errno) }
            case S_IFLNK:
                let result = unsafe symlinkat(target.hostCString, folder.rawValue, name.hostCString)
                guard result == 0 else { throw Errno(rawValue: errno) }
            case S_IFREG:
                _ = unsafe unlinkat(folder.rawValue, name.hostCString, 0)
                let flags = O_WRONLY | O_CREAT | O_EXCL
                file = try OwnedDescriptor(opening: name, in: folder, flags, mode: permissions)
            default: throw .invalidArgument
            }
        }
    }
}
