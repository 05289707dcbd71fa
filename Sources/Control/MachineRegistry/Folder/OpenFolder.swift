// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// One folder of this user's, held open: lookups stay inside it, whatever happens to its path.
///
/// Files are whatever somebody put there: only regular ones are opened, without waiting, and no more than a limit is read.
final class OpenFolder: Sendable {
    private let owned: OwnedDescriptor

    /// Opens a folder; a symbolic link is none.
    ///
    /// - Throws: `FileFault`, also where the folder belongs to another user.
    init(_ path: FilePath) throws(FileFault) {
        let raw = unsafe path.withPlatformString {
            unsafe Glibc.open($0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        }
        guard raw >= 0 else {
            switch errno {
            case ENOENT: throw .missing
            case ENOTDIR, ELOOP: throw .wrongKind("not a folder")
            default: throw .failed(Errno(rawValue: errno))
            }
        }
        owned = OwnedDescriptor(adopting: raw)
        var status = stat()
        guard unsafe fstat(raw, &status) == 0 else { throw .failed(Errno(rawValue: errno)) }
        // A machine that root starts as another user has the folder to itself.
        guard status.st_uid == geteuid() || geteuid() == 0 else { throw .foreign }
    }

    var descriptor: FileDescriptor { owned.borrowed }

    func open(_ name: String, _ flags: CInt = O_RDONLY) throws(FileFault) -> OwnedDescriptor {
        // A device may do things when it is opened: so its kind is looked at before, and again after.
        var status = stat()
        guard unsafe fstatat(owned.rawValue, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { throw Self.fault() }
        if let kind = Self.wrongKind(status) { throw .wrongKind(kind) }
        let file: OwnedDescriptor
        do throws(Errno) {
            file = try OwnedDescriptor(opening: name, in: owned.borrowed, flags | O_NONBLOCK | O_NOCTTY)
        } catch {
            throw error == .noSuchFileOrDirectory ? .missing : .failed(error)
        }
        guard unsafe fstat(file.rawValue, &status) == 0 else { throw Self.fault() }
        if let kind = Self.wrongKind(status) { throw .wrongKind(kind) }
        return file
    }

    /// Reads a regular file.
    func contents(of name: String, limit: Int = 1 << 20) throws(FileFault) -> [UInt8] {
        let file = try open(name)
        return try Self.contents(of: file, limit: limit)
    }

    static func contents(of file: borrowing OwnedDescriptor, limit: Int) throws(FileFault) -> [UInt8] {
        var status = stat()
        guard unsafe fstat(file.rawValue, &status) == 0 else { throw fault() }
        guard status.st_size <= limit else { throw .tooLarge(limit) }
        do throws(Errno) {
            return try file.borrowed.bytes(count: Int(status.st_size), at: 0)
        } catch {
            throw .failed(error)
        }
    }

    /// Indicates whether a monitor holds the folder, as it does for its whole life (flock(2), which keeps systemd-tmpfiles
    /// away).
    var isHeld: Bool {
        guard flock(owned.rawValue, LOCK_SH | LOCK_NB) != 0 else {
            _ = flock(owned.rawValue, LOCK_UN)
            return false
        }
        return errno == EWOULDBLOCK
    }

    private static func fault() -> FileFault { errno == ENOENT ? .missing : .failed(Errno(rawValue: errno)) }

    private static func wrongKind(_ status: stat) -> String? {
        switch status.st_mode & S_IFMT {
        case S_IFREG: nil
        case S_IFDIR: "a folder"
        case S_IFIFO: "a named pipe"
        case S_IFLNK: "a symbolic link"
        case S_IFSOCK: "a socket"
        default: "a device"
        }
    }
}

/// An error of a file or folder, in words that follow its path.
enum FileFault: Error, Hashable, CustomStringConvertible {
    case missing
    case wrongKind(String)
    case foreign
    case tooLarge(Int)
    case failed(Errno)

    var description: String {
        switch self {
        case .missing: "is not there"
        case .wrongKind(let kind): "is \(kind)"
        case .foreign: "belongs to another user"
        case .tooLarge(let limit): "is larger than \(limit) bytes"
        case .failed(let errno): "cannot be opened: \(errno)"
        }
    }
}
