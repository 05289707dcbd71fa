// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// Reads whole files that others may have put there: bounded, and never waiting.
package enum FileContents {
    /// The reason why a file is not read.
    package enum Failure: Error, Hashable, CustomStringConvertible {
        case system(Errno)
        /// It is a folder, a device, a socket, or a named pipe, which could block the reader forever.
        case notAFile
        /// It has more than so many bytes.
        case tooLarge(limit: Int)

        package var description: String {
            switch self {
            case .system(let errno): "\(errno)"
            case .notAFile: "it is not a regular file"
            case .tooLarge(let limit): "it has more than \(limit) bytes"
            }
        }
    }

    /// The kinds of files that are read.
    package enum Kind: Sendable {
        /// Regular files alone: for folders that somebody else can write to.
        case regular
        /// Pipes, sockets and terminals too, up to their end: for paths that the user names, such as `/dev/stdin`.
        case any
    }

    /// Reads a file to its end.
    ///
    /// `followsLinks` is for the last component.
    package static func bytes(
        of path: FilePath,
        limit: Int,
        kind: Kind = .regular,
        followsLinks: Bool = true
    ) throws(Failure) -> [UInt8] {
        let file: OwnedDescriptor
        do throws(Errno) {
            // Opening a named pipe without a writer would block.
            let waiting = kind == .any ? 0 : O_NONBLOCK
            file = try OwnedDescriptor(
                opening: path,
                O_RDONLY | O_NOCTTY | waiting | (followsLinks ? 0 : O_NOFOLLOW)
            )
        } catch {
            throw .system(error)
        }
        return try bytes(of: file.borrowed, limit: limit, kind: kind)
    }

    /// Reads an open file from where it stands to its end.
    package static func bytes(of file: FileDescriptor, limit: Int, kind: Kind = .regular) throws(Failure) -> [UInt8] {
        if kind == .regular {
            let type: FileType
            do throws(Errno) { type = try file.stat().type } catch { throw .system(error) }
            guard type == .regular else { throw .notAFile }
        }
        var bytes: [UInt8] = []
        while true {
            do throws(Errno) {
                let piece = try file.readSome(limit: min(1 << 16, limit - bytes.count + 1))
                guard !piece.isEmpty else { return bytes }
                bytes += piece
            } catch {
                guard error == .resourceTemporarilyUnavailable else { throw .system(error) }
                _ = Poll.wait(for: file, .readable)
            }
            guard bytes.count <= limit else { throw .tooLarge(limit: limit) }
        }
    }

    /// Writes a file of this process's own: creates it for its owner alone, or replaces its contents.
    package static func write(_ bytes: [UInt8], to path: FilePath) throws(Errno) {
        let file = try OwnedDescriptor(opening: path, O_WRONLY | O_CREAT | O_TRUNC)
        try file.borrowed.write(all: bytes)
    }

    /// Reads a file as text; bytes that are not UTF-8 are replaced.
    package static func text(of path: FilePath, limit: Int) throws(Failure) -> String {
        String(decoding: try bytes(of: path, limit: limit), as: UTF8.self)
    }

    /// Identifies a file and its version without reading it.
    ///
    /// - Returns: Its device, number, size and times; `nil` where it cannot be looked at.
    package static func identity(of path: FilePath) -> String? {
        guard let status = try? path.stat() else { return nil }
        let times = [status.st_mtim, status.st_ctim].map { "\($0.tv_sec).\($0.tv_nsec)" }.joined(separator: " ")
        return "\(status.deviceID.rawValue) \(status.inode.rawValue) \(status.size) \(times)"
    }
}

extension OwnedDescriptor {
    /// Opens a file, to be closed on exec.
    ///
    /// `flags` are those of open(2). A file that is made has the permissions `mode`, whatever the umask is.
    package init(opening path: FilePath, _ flags: CInt, mode: FilePermissions = .ownerReadWrite) throws(Errno) {
        self.init(
            adopting: try hostCall {
                let raw = unsafe path.withPlatformString { unsafe open($0, flags | O_CLOEXEC, mode.rawValue) }
                return raw < 0 ? -errno : raw
            }
        )
        // The umask takes bits away from a new file. An older one keeps what its owner chose, but for one that cannot be read.
        if flags & O_CREAT != 0, let status = try? borrowed.stat(), status.size == 0, status.type == .regular {
            _ = fchmod(rawValue, mode.rawValue)
        }
    }
}
