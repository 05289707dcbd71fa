// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import Host
package import SystemPackage

/// A snapshot that is being written: a folder beside the one that it will be.
///
/// The folder gets its name when all is on the disk. So whatever ends the process, at the snapshot's path is nothing, the
/// snapshot that was there before, or the whole new one. The next save to the same path removes what is left.
package final class SnapshotDraft {
    /// The path that the snapshot will have.
    package let path: FilePath
    private let isReplacing: Bool
    private let partial: FilePath
    private let folder: OwnedDescriptor
    private var isPublished = false

    /// Makes the folder.
    ///
    /// - Parameters:
    ///   - path: The snapshot's folder, in one that exists.
    ///   - isReplacing: Whether a snapshot that is there already is to be replaced.
    /// - Throws: `exists`, `notASnapshot` for something else that is not to be replaced, `file`.
    package init(_ path: FilePath, replacing isReplacing: Bool) throws(SnapshotError) {
        guard let name = path.lastComponent, name.kind == .regular else {
            throw .notASnapshot(path, reason: "a snapshot is a folder with a name")
        }
        if Self.exists(path) {
            guard isReplacing else { throw .exists(path) }
            _ = try SnapshotFolder(path).stateText()
        }
        let parent = path.removingLastComponent()
        let prefix = "\(name.string).partial-"
        SnapshotRemoval.removeAbandoned(in: parent.isEmpty ? "." : parent, prefix: prefix)
        var template = Array((path.string + ".partial-XXXXXX").utf8CString)
        guard unsafe mkdtemp(&template) != nil else {
            throw .file(operation: "make a folder for", path, Errno(rawValue: errno))
        }
        partial = FilePath(String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self))
        (self.path, self.isReplacing) = (path, isReplacing)
        do throws(Errno) {
            folder = try OwnedDescriptor(openingFolder: partial)
        } catch {
            throw .file(operation: "open", partial, error)
        }
        // Held as long as this process lives: nobody else takes the folder for an abandoned one.
        _ = chost_try_lock(folder.rawValue)
    }

    deinit {
        if !isPublished { SnapshotRemoval.remove(partial) }
    }

    private static func exists(_ path: FilePath) -> Bool {
        var status = stat()
        return unsafe lstat(path.string, &status) == 0
    }

    /// Makes a file of the snapshot.
    ///
    /// - Parameter name: Of `SnapshotFile`, or of a disk behind `disks/`.
    /// - Returns: The file, open for reading and writing.
    /// - Throws: `file`.
    package func makeFile(_ name: String) throws(SnapshotError) -> OwnedDescriptor {
        if name.hasPrefix(SnapshotFile.disks + "/") { _ = unsafe mkdirat(folder.rawValue, SnapshotFile.disks, 0o700) }
        let file = unsafe openat(folder.rawValue, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw .file(operation: "make", partial.appending(name), Errno(rawValue: errno))
        }
        return OwnedDescriptor(adopting: file)
    }

    /// Makes a file with these bytes, on the disk when this returns.
    package func write(_ bytes: [UInt8], to name: String) throws(SnapshotError) {
        let file = try makeFile(name)
        do {
            try file.borrowed.writeAll(bytes)
        } catch {
            throw .file(operation: "write", path.appending(name), error as? Errno ?? .ioError)
        }
        try finish(file, name)
    }

    /// Writes the page that ends a memory file, and waits until the file is on the disk.
    ///
    /// - Parameters:
    ///   - file: The memory file, with `byteCount` bytes of memory in it.
    ///   - byteCount: The number of them.
    ///   - id: The snapshot's id.
    /// - Throws: `file`.
    package func finishMemory(
        _ file: borrowing OwnedDescriptor,
        byteCount: UInt64,
        id: Base64
    ) throws(SnapshotError) {
        do {
            try file.borrowed.writeAll(toAbsoluteOffset: Int64(byteCount), MemoryFooter.page(id: id))
        } catch {
            throw .file(operation: "write", path.appending(SnapshotFile.memory), error as? Errno ?? .ioError)
        }
        try finish(file, SnapshotFile.memory)
    }

    /// Waits until a file is on the disk.
    package func finish(_ file: borrowing OwnedDescriptor, _ name: String) throws(SnapshotError) {
        guard fdatasync(file.rawValue) == 0 else {
            throw .file(operation: "write", path.appending(name), Errno(rawValue: errno))
        }
    }

    /// Gives the folder its name.
    ///
    /// - Throws: `exists`, where somebody else was faster, or `file`.
    package func publish() throws(SnapshotError) {
        try synchronize(partial)
        var result = unsafe chost_rename_new(partial.string, path.string)
        // A file system that knows no such flag, and no links of folders: a folder replaces none that has something in it.
        if result == -EPERM, !Self.exists(path) {
            result = unsafe rename(partial.string, path.string) == 0 ? 0 : -errno
        }
        if result == -EEXIST, isReplacing {
            result = unsafe chost_exchange(partial.string, path.string)
            if result >= 0 { SnapshotRemoval.remove(partial) }
        }
        if result == -EEXIST { throw .exists(path) }
        guard result >= 0 else { throw .file(operation: "give its name to", path, Errno(rawValue: -result)) }
        isPublished = true
        let parent = path.removingLastComponent()
        try synchronize(parent.isEmpty ? "." : parent)
    }

    private func synchronize(_ path: FilePath) throws(SnapshotError) {
        do throws(Errno) {
            let folder = try OwnedDescriptor(openingFolder: path)
            guard fsync(folder.rawValue) == 0 else { throw Errno(rawValue: errno) }
        } catch {
            throw .file(operation: "write", path, error)
        }
    }
}

extension OwnedDescriptor {
    /// Opens a folder.
    init(openingFolder path: FilePath) throws(Errno) {
        let descriptor = unsafe open(path.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        self.init(adopting: descriptor)
    }
}
