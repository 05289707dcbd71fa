// SPDX-License-Identifier: Apache-2.0

import Glibc
package import GuestMemory
package import Host
import JSON
package import SystemPackage

/// A snapshot on the disk, which may come from anybody.
///
/// Only its own files are opened: regular ones, of the size that they must have, never through a symbolic link.
package final class SnapshotFolder: Sendable {
    package let place: SnapshotPlace
    /// The folders of the state and the memory; held, so that one that is renamed meanwhile stays the same.
    private let stateFolder: OwnedDescriptor
    private let memoryFolder: OwnedDescriptor
    /// State and memory, where another process has opened them, and the rest is not wanted.
    private let opened: SnapshotFiles?

    /// Opens a snapshot that is a folder.
    ///
    /// - Throws: `notASnapshot` for something else, `file` for one that cannot be opened.
    package convenience init(_ path: FilePath) throws(SnapshotError) {
        try self.init(SnapshotPlace(folder: path))
    }

    /// Opens the folders of a snapshot's files.
    ///
    /// - Throws: `notASnapshot` where they are in something else than folders, `file` where these cannot be opened.
    package init(_ place: SnapshotPlace) throws(SnapshotError) {
        (self.place, opened) = (place, nil)
        stateFolder = try Self.openFolder(place.state.parent)
        memoryFolder = try Self.openFolder(place.memory.parent)
    }

    /// Opens a snapshot, or takes its state and its memory from another process, which has opened them.
    ///
    /// - Throws: As `init(_:)`; `file` where they are not among `files`.
    package convenience init(_ place: SnapshotPlace, opened files: SnapshotFiles?) throws(SnapshotError) {
        if let files { try self.init(place, files) } else { try self.init(place) }
    }

    private init(_ place: SnapshotPlace, _ files: SnapshotFiles) throws(SnapshotError) {
        (self.place, opened) = (place, files)
        do throws(Errno) {
            stateFolder = try files.file(SnapshotFiles.baseState)
            memoryFolder = try files.file(SnapshotFiles.baseMemory)
        } catch {
            throw .file(operation: "open", place.state.parent, error)
        }
    }

    private static func openFolder(_ path: FilePath) throws(SnapshotError) -> OwnedDescriptor {
        do throws(Errno) {
            return try OwnedDescriptor(openingFolder: path)
        } catch .notDirectory {
            throw .notASnapshot(path, reason: "it is not a folder")
        } catch {
            throw .file(operation: "open the snapshot", path, error)
        }
    }

    /// The folder that the state is in.
    package var path: FilePath { place.state.parent }

    /// Reads the state.
    ///
    /// - Throws: The errors of `StateFile.bytes` and `StateFile.value`, and `file`.
    package func state<Value: Decodable>(as type: Value.Type) throws(SnapshotError) -> Value {
        try StateFile.value(of: bytes(of: .json), as: type, path: place.state)
    }

    /// Reads the last bytes that the guest sent to its console.
    ///
    /// - Returns: The bytes; none of a snapshot of version 1.0.
    /// - Throws: The errors of `StateFile.bytes`, and `file`.
    package func console() throws(SnapshotError) -> [UInt8] { try bytes(of: .console) }

    /// Makes sure that there is the state of a snapshot.
    ///
    /// - Throws: The errors of `state(as:)`.
    func check() throws(SnapshotError) {
        _ = try StateFile.json(of: bytes(of: .json), path: place.state)
    }

    /// The names of the copies of disks that are the snapshot's own, as its state has them.
    func diskCopies() throws(SnapshotError) -> Set<String> {
        let state = try StateFile.json(of: bytes(of: .json), path: place.state)
        return Set(state["disks"].elements.compactMap { $0["copied"] == .bool(true) ? $0["drive_id"].string : nil })
    }

    /// The names of all files in the folder of the state.
    func names() -> [String] { SnapshotRemoval.names(in: stateFolder) }

    /// The names of all files in the folder of disks; none where that is not a folder.
    func diskNames() -> [String] {
        guard let disks = try? OwnedDescriptor(openingFolder: place.disksName, in: stateFolder.borrowed) else {
            return []
        }
        return SnapshotRemoval.names(in: disks)
    }

    /// Removes the copies of disks, and the folder that they are in.
    func removeDisks() {
        SnapshotRemoval.removeDisks(place.disksName, in: stateFolder) { SnapshotFile.isDiskName($0) }
    }

    private func bytes(of part: StateFile.Part) throws(SnapshotError) -> [UInt8] {
        let file = try stateFile()
        return try StateFile.bytes(of: part, place.state, byteCount: file.byteCount) {
            offset,
            count throws(SnapshotError) in
            try read(file.descriptor, place.state, at: UInt64(offset), byteCount: count)
        }
    }

    /// Opens the memory.
    ///
    /// It is the state's own if it ends with the same id. One that holds nothing but memory is if it is the very file that was saved;
    /// one that was copied, or written to, if it has the same checksums.
    ///
    /// - Parameters:
    ///   - description: The memory, as `state` has it.
    ///   - id: The snapshot's id, as `state` has it.
    /// - Returns: The file, to be mapped.
    /// - Throws: `damaged` for the memory of another snapshot or a part of it.
    package func memory(_ description: MemoryDescription, id: Base64) throws(SnapshotError) -> MemoryFile {
        let (path, byteCount) = (place.memory, description.byteCount)
        let file = try open(path, in: memoryFolder)
        let stamp = description.stamp
        let footerByteCount = stamp == nil ? MemoryFooter.byteCount : 0
        let expected = byteCount.addingReportingOverflow(UInt64(footerByteCount))
        guard !expected.overflow, file.byteCount == expected.partialValue else {
            throw .damaged(path, reason: "it has \(file.byteCount) bytes instead of \(expected.partialValue)")
        }
        let footer = try read(file.descriptor, path, at: byteCount, byteCount: footerByteCount)
        var isOwn = stamp.map { $0 == MemoryFooter.stamp(file.status) } ?? (footer == MemoryFooter.page(id: id))
        let memory: MemoryFile
        do throws(GuestMemoryError) {
            memory = try MemoryFile(
                adopting: file.descriptor,
                path: path,
                byteCount: byteCount,
                extents: description.extents
            )
            if stamp != nil, !isOwn { isOwn = try description.damage(in: memory).isEmpty }
        } catch {
            throw .damaged(path, reason: "\(error)")
        }
        guard isOwn else { throw .damaged(path, reason: "it belongs to another snapshot than the state beside it") }
        return memory
    }

    /// A file of the snapshot, open for reading.
    package struct OpenFile: ~Copyable {
        package let descriptor: OwnedDescriptor
        /// The size in bytes.
        package let byteCount: UInt64
        fileprivate let status: stat
    }

    /// Opens the file of the state.
    package func stateFile() throws(SnapshotError) -> OpenFile { try open(place.state, in: stateFolder) }

    /// Opens the file of the memory, whatever its size.
    package func memoryFile() throws(SnapshotError) -> OpenFile { try open(place.memory, in: memoryFolder) }

    /// Opens the copy of a disk.
    ///
    /// - Parameters:
    ///   - id: The disk's name in the description.
    ///   - byteCount: The size in bytes that the state has for it.
    /// - Returns: The file.
    /// - Throws: `damaged` where it is missing, no regular file or of another size, `file` where it cannot be opened.
    package func disk(_ id: String, byteCount: UInt64) throws(SnapshotError) -> OwnedDescriptor {
        let file = try disk(id)
        guard file.byteCount == byteCount else {
            throw .damaged(place.disk(id), reason: "it has \(file.byteCount) bytes instead of \(byteCount)")
        }
        return file.descriptor
    }

    /// Opens the copy of a disk, whatever its size.
    ///
    /// - Throws: `damaged` where it is missing or no regular file, `file` where it cannot be opened.
    package func disk(_ id: String) throws(SnapshotError) -> OpenFile {
        // Not through a link either: the folder of disks is one of the snapshot's own.
        guard let disks = try? OwnedDescriptor(openingFolder: place.disksName, in: stateFolder.borrowed) else {
            throw .damaged(place.disk(id), reason: "the folder of its disks cannot be opened")
        }
        guard SnapshotFile.isDiskName(id) else { throw .damaged(place.disk(id), reason: "it is not a disk's name") }
        return try open(place.disk(id), in: disks)
    }

    private func open(_ path: FilePath, in folder: borrowing OwnedDescriptor) throws(SnapshotError) -> OpenFile {
        // Without waiting for a writer of a named pipe.
        let flags = O_RDONLY | O_NONBLOCK | O_NOCTTY
        let file: OwnedDescriptor
        do throws(Errno) {
            file =
                opened == nil
                ? try OwnedDescriptor(opening: path.lastName, in: folder.borrowed, flags)
                : try OwnedDescriptor(duplicating: folder.borrowed)
        } catch {
            switch error {
            case .noSuchFileOrDirectory where path == place.state:
                throw .notASnapshot(path.parent, reason: "there is no file '\(path.lastName)' in it")
            case .noSuchFileOrDirectory: throw .damaged(path, reason: "the file is missing")
            case .tooManySymbolicLinkLevels: throw .damaged(path, reason: "it is a symbolic link")
            default: throw .file(operation: "open", path, error)
            }
        }
        guard let status = try? file.borrowed.stat(), status.type == .regular else {
            throw .damaged(path, reason: "it is not a regular file")
        }
        return OpenFile(
            descriptor: file,
            byteCount: UInt64(clamping: status.size),
            status: status.rawValue
        )
    }

    private func read(
        _ file: borrowing OwnedDescriptor,
        _ path: FilePath,
        at offset: UInt64,
        byteCount: Int
    ) throws(SnapshotError) -> [UInt8] {
        do throws(Errno) {
            let bytes = try file.borrowed.bytes(count: byteCount, at: offset)
            guard bytes.count == byteCount else { throw .ioError }
            return bytes
        } catch {
            throw .file(operation: "read", path, error)
        }
    }
}
