// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import Host
package import SystemPackage

/// A snapshot that is being written: a folder beside the one that it will be, or beside each of its two files.
///
/// The snapshot gets its name when all of it is on the disk. However the process ends, the snapshot's path leads to nothing,
/// to the snapshot that was there before, or to the whole new one; of two files the first may be new and the second old, which
/// their ids tell. The next save to the same path removes what is left.
package final class SnapshotDraft {
    private enum Target {
        /// A folder that gets its name when all is in it.
        case folder(FilePath, PartialFolder, isReplacing: Bool)
        /// Files that get their names, the memory in a place of its own.
        case files(PartialFolder, memory: PartialFolder)
        /// Files that another process has made, and names.
        case opened(SnapshotFiles)
    }

    /// The paths that the snapshot's files will have.
    package let place: SnapshotPlace
    private let target: Target
    /// The files that were made.
    private var files: [String] = []

    /// Makes the folder of a snapshot.
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
            try SnapshotRemoval.check(path)
        }
        place = SnapshotPlace(folder: path)
        target = .folder(path, try PartialFolder(beside: path), isReplacing: isReplacing)
    }

    /// Fills the files of a snapshot that another process has made, and publishes: `path` is its folder, for messages.
    package init(filling files: SnapshotFiles, of path: FilePath) {
        (place, target) = (SnapshotPlace(folder: path), .opened(files))
    }

    /// Makes the files of a snapshot that takes the place of whatever files are there.
    ///
    /// - Parameter place: Their paths, in folders that exist.
    /// - Throws: `notASnapshot` for a path without a name, `file`.
    package init(files place: SnapshotPlace) throws(SnapshotError) {
        for path in [place.state, place.memory] where path.lastComponent?.kind != .regular {
            throw .notASnapshot(path, reason: "a file of a snapshot has a name")
        }
        guard place.state != place.memory else {
            throw .notASnapshot(place.state, reason: "state and memory are two files")
        }
        self.place = place
        target = .files(try PartialFolder(beside: place.state), memory: try PartialFolder(beside: place.memory))
    }

    /// The folder that a snapshot which is a folder has until it is published.
    package var partialPath: FilePath? { if case .folder(_, let partial, _) = target { partial.path } else { nil } }

    private static func exists(_ path: FilePath) -> Bool {
        var status = stat()
        return unsafe path.withPlatformString { unsafe lstat($0, &status) == 0 }
    }

    /// Makes a file of the snapshot.
    ///
    /// - Parameter name: A name from `SnapshotFile`, or a disk's after `disks/`.
    /// - Returns: The file, open for reading and writing.
    /// - Throws: `notASnapshot` for another name, `file`.
    package func makeFile(_ name: String) throws(SnapshotError) -> OwnedDescriptor {
        guard SnapshotFile.isName(name) else {
            throw .notASnapshot(place.state.parent, reason: "no file of a snapshot has the name '\(name)'")
        }
        if case .files = target, name.hasPrefix(SnapshotFile.disks + "/") { try checkDisks() }
        do throws(Errno) {
            switch target {
            case .opened(let files): return try files.file(name)
            case .folder(_, let partial, _): return try makeFile(name, in: partial)
            case .files(let partial, let memory):
                return try makeFile(name, in: name == SnapshotFile.memory ? memory : partial)
            }
        } catch {
            throw .file(operation: "make", path(of: name), error)
        }
    }

    private func makeFile(_ name: String, in folder: PartialFolder) throws(Errno) -> OwnedDescriptor {
        let file = try folder.makeFile(name)
        files.append(name)
        return file
    }

    /// Makes a file with these bytes.
    package func write(_ bytes: [UInt8], to name: String) throws(SnapshotError) {
        let file = try makeFile(name)
        do {
            try file.borrowed.writeAll(bytes)
        } catch {
            throw .file(operation: "write", path(of: name), error as? Errno ?? .ioError)
        }
    }

    /// Lets a memory file be known as this snapshot's.
    ///
    /// - Parameters:
    ///   - file: The file, with all of the memory.
    ///   - byteCount: The size of the memory.
    ///   - id: The snapshot's id, which a page after the memory gets; `nil` for none.
    /// - Returns: The file's stamp where it has no such page.
    /// - Throws: `file`.
    @discardableResult
    package func finishMemory(
        _ file: borrowing OwnedDescriptor,
        byteCount: UInt64,
        id: Base64?
    ) throws(SnapshotError) -> String? {
        guard let id else {
            var status = stat()
            guard unsafe fstat(file.rawValue, &status) == 0 else {
                throw .file(operation: "look at", place.memory, Errno(rawValue: errno))
            }
            return MemoryFooter.stamp(status)
        }
        do {
            try file.borrowed.writeAll(toAbsoluteOffset: Int64(byteCount), MemoryFooter.page(id: id))
            return nil
        } catch {
            throw .file(operation: "write", place.memory, error as? Errno ?? .ioError)
        }
    }

    /// Waits until a file is on the disk.
    private func synchronizeFile(_ name: String) throws(SnapshotError) {
        let path = path(of: name)
        do throws(Errno) {
            let file = try OwnedDescriptor(opening: path, O_RDONLY | O_NOFOLLOW)
            guard fdatasync(file.rawValue) == 0 else { throw Errno(rawValue: errno) }
        } catch {
            throw .file(operation: "write", path, error)
        }
    }

    private func path(of name: String) -> FilePath {
        let folder =
            switch target {
            case .opened: place.state.parent
            case .folder(_, let partial, _): partial.path
            case .files(let partial, let memory): name == SnapshotFile.memory ? memory.path : partial.path
            }
        return folder.appending(name)
    }

    /// Waits until all is on the disk, and gives the snapshot its name.
    ///
    /// - Throws: `exists`, where somebody else was faster, or `file`.
    package func publish() throws(SnapshotError) {
        for name in files { try synchronizeFile(name) }
        switch target {
        case .folder(let path, let partial, let isReplacing): try publish(partial, as: path, replacing: isReplacing)
        case .files(let partial, let memory): try publish(partial, memory)
        case .opened: break
        }
    }

    private func publish(
        _ partial: PartialFolder,
        as path: FilePath,
        replacing isReplacing: Bool
    ) throws(SnapshotError) {
        try synchronize(partial.path)
        var result = unsafe Self.call(chost_rename_new, partial.path, path)
        // A file system that knows no such flag, and no links of folders: a folder replaces none that has something in it.
        if result == -EPERM, !Self.exists(path) {
            result = unsafe Self.call(rename, partial.path, path) == 0 ? 0 : -errno
        }
        if result == -EEXIST, isReplacing {
            // The old one has the name of the partial folder then, and goes with it.
            result = unsafe Self.call(chost_exchange, partial.path, path)
        } else if result >= 0 {
            partial.isKept = true
        }
        if result == -EEXIST { throw .exists(path) }
        guard result >= 0 else { throw .file(operation: "give its name to", path, Errno(rawValue: -result)) }
        try synchronize(path.parent)
    }

    /// Gives the files their names: the state last, whose id tells whether the memory is its own.
    private func publish(_ partial: PartialFolder, _ memory: PartialFolder) throws(SnapshotError) {
        try synchronize(partial.path)
        try synchronize(memory.path)
        try name(memory.path.appending(SnapshotFile.memory), place.memory)
        let disks = partial.path.appending(SnapshotFile.disks)
        switch (Self.exists(disks), Self.exists(place.disks)) {
        // The old copies have the name of the partial folder then, and go with it.
        case (true, true): _ = unsafe Self.call(chost_exchange, disks, place.disks)
        case (true, false): try name(disks, place.disks)
        case (false, true): oldDisks()?.removeDisks()
        case (false, false): break
        }
        try name(partial.path.appending(SnapshotFile.state), place.state)
        try synchronize(place.memory.parent)
        try synchronize(place.state.parent)
    }

    /// Makes sure that the folder of disks is free, or that of a snapshot which is replaced.
    private func checkDisks() throws(SnapshotError) {
        guard Self.exists(place.disks), oldDisks() == nil else { return }
        throw .notASnapshot(
            place.disks,
            reason: "the copies of disks would replace it; name another snapshot_path, or move it away"
        )
    }

    /// The snapshot that is replaced, where nothing is in its folder of disks but copies of its own.
    private func oldDisks() -> SnapshotFolder? {
        guard let old = try? SnapshotFolder(place), let copies = try? old.diskCopies(), !copies.isEmpty,
            copies.isSuperset(of: old.diskNames())
        else { return nil }
        return old
    }

    private func name(_ path: FilePath, _ name: FilePath) throws(SnapshotError) {
        guard unsafe Self.call(rename, path, name) == 0 else {
            throw .file(operation: "give its name to", name, Errno(rawValue: errno))
        }
    }

    /// Calls a function of two paths.
    private static func call(
        _ function: (UnsafePointer<CChar>, UnsafePointer<CChar>) -> CInt,
        _ one: FilePath,
        _ other: FilePath
    ) -> CInt {
        unsafe one.withPlatformString { one in unsafe other.withPlatformString { unsafe function(one, $0) } }
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

/// A folder of files that have no name yet: gone with this object, or by the next one for the same path.
private final class PartialFolder {
    private let folder: LockedFolder
    /// Indicates whether it has another name by now.
    var isKept = false

    init(beside target: FilePath) throws(SnapshotError) {
        SnapshotRemoval.removeAbandoned(in: target.parent, prefix: "\(target.lastName).partial-")
        do throws(Errno) {
            folder = try LockedFolder(prefix: FilePath(hostText: target.hostText + ".partial-"))
        } catch {
            throw .file(operation: "make a folder for", target, error)
        }
    }

    var path: FilePath { folder.path }

    func makeFile(_ name: String) throws(Errno) -> OwnedDescriptor {
        if name.hasPrefix(SnapshotFile.disks + "/") {
            _ = unsafe mkdirat(folder.descriptor.rawValue, SnapshotFile.disks, 0o700)
        }
        return try OwnedDescriptor(opening: name, in: folder.descriptor.borrowed, O_RDWR | O_CREAT | O_EXCL)
    }

    deinit {
        if !isKept { SnapshotRemoval.remove(path) }
    }
}
