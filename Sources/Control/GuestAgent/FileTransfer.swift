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
        private var file: FileDescriptor?
        private var owned: OwnedBox?

        /// Holds a file open until the next one comes.
        private final class OwnedBox {
            let descriptor: OwnedDescriptor
            init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
        }

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
                guard let file else { throw .malformed("it sent data without a file") }
                do throws(Errno) { try file.write(all: message.payload) } catch {
                    throw .host("cannot write \(name): \(error)")
                }
            default: throw .malformed("it sent \(message.kind) among files")
            }
        }

        private func make(_ message: AgentMessage) throws(AgentError) {
            (file, owned) = (nil, nil)
            var payload = AgentPayload(message.payload)
            let mode = payload.number(UInt32.self)
            _ = (payload.number(UInt64.self), payload.number(Int64.self))  // owners and times are the guest's own
            let (relative, target) = (payload.string(), payload.string())
            let path = [name] + (relative.isEmpty ? [] : relative.pathComponents)
            guard payload.isWhole, path.count <= FileTransfer.depthLimit + 1,
                !path.contains(where: ["", ".", ".."].contains)
            else { throw .malformed("it sent a file with the path '\(printable(relative))'") }
            let error = make(path[...], in: root.borrowed, mode, target)
            guard error == 0 else {
                throw .host("cannot write \(printable(path.joined(separator: "/"))): \(Errno(rawValue: error))")
            }
        }

        /// Creates the file of the last component, through folders only.
        ///
        /// - Returns: 0, or the number of an error.
        private func make(_ path: ArraySlice<String>, in folder: FileDescriptor, _ mode: UInt32, _ target: String)
            -> CInt
        {
            guard let first = path.first else { return EINVAL }
            let name = FilePath(hostText: first)
            if path.count > 1 {
                let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
                let raw = unsafe name.withPlatformString { unsafe openat(folder.rawValue, $0, flags) }
                guard raw >= 0 else { return errno }
                let next = OwnedDescriptor(adopting: raw)
                return make(path.dropFirst(), in: next.borrowed, mode, target)
            }
            // Not the bits that lend rights: here they would be the host's.
            let permissions = mode & 0o777
            switch mode & S_IFMT {
            case S_IFDIR:
                let result = unsafe name.withPlatformString { unsafe mkdirat(folder.rawValue, $0, permissions | 0o700) }
                return result == 0 || errno == EEXIST ? 0 : errno
            case S_IFLNK:
                let result = unsafe FilePath(hostText: target).withPlatformString { target in
                    unsafe name.withPlatformString { unsafe symlinkat(target, folder.rawValue, $0) }
                }
                return result == 0 ? 0 : errno
            case S_IFREG:
                _ = unsafe name.withPlatformString { unsafe unlinkat(folder.rawValue, $0, 0) }
                let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
                let raw = unsafe name.withPlatformString { unsafe openat(folder.rawValue, $0, flags, permissions) }
                guard raw >= 0 else { return errno }
                owned = OwnedBox(OwnedDescriptor(adopting: raw))
                file = FileDescriptor(rawValue: raw)
                return 0
            default: return EINVAL
            }
        }
    }
}
