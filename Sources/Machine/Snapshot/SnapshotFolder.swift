// SPDX-License-Identifier: Apache-2.0

import Glibc
package import GuestMemory
package import Host
package import SystemPackage

/// A snapshot on the disk, which may come from anybody.
///
/// Only its own files are opened: regular ones, of the size that they must have, never behind a symbolic link.
package final class SnapshotFolder: Sendable {
    package let path: FilePath
    private let folder: OwnedDescriptor

    /// Opens the folder.
    ///
    /// - Parameter path: The folder.
    /// - Throws: `notASnapshot` for something else, `file` for one that cannot be opened.
    package init(_ path: FilePath) throws(SnapshotError) {
        self.path = path
        do throws(Errno) {
            folder = try OwnedDescriptor(openingFolder: path)
        } catch .notDirectory {
            throw .notASnapshot(path, reason: "it is not a folder")
        } catch {
            throw .file(operation: "open the snapshot", path, error)
        }
    }

    /// Reads the state.
    ///
    /// - Parameter type: The type of the value in it.
    /// - Returns: The value.
    /// - Throws: What `StateFile.value` throws, and `file`.
    package func state<Value: Decodable>(as type: Value.Type) throws(SnapshotError) -> Value {
        try StateFile.value(of: stateText(), as: type, path: path.appending(SnapshotFile.state))
    }

    /// Reads the text of the state, which begins as one of a snapshot.
    func stateText() throws(SnapshotError) -> [UInt8] {
        let file = try open(SnapshotFile.state)
        guard file.byteCount <= StateFile.sizeLimit else {
            throw .damaged(
                path.appending(SnapshotFile.state),
                reason: "it has \(file.byteCount) bytes, more than \(StateFile.sizeLimit)"
            )
        }
        let text = try read(file.descriptor, SnapshotFile.state, at: 0, byteCount: Int(file.byteCount))
        _ = try StateFile.value(of: text, as: AnyState.self, path: path.appending(SnapshotFile.state))
        return text
    }

    /// Opens the memory.
    ///
    /// - Parameters:
    ///   - byteCount: The number of bytes of guest memory, as `state` has it.
    ///   - id: The snapshot's id, as `state` has it.
    /// - Returns: The file, to be mapped.
    /// - Throws: `damaged` for the memory of another snapshot or a part of it.
    package func memory(byteCount: UInt64, id: Base64) throws(SnapshotError) -> MemoryFile {
        let file = try open(SnapshotFile.memory)
        let path = path.appending(SnapshotFile.memory)
        let expected = byteCount.addingReportingOverflow(UInt64(MemoryFooter.byteCount))
        guard !expected.overflow, file.byteCount == expected.partialValue else {
            throw .damaged(path, reason: "it has \(file.byteCount) bytes instead of \(expected.partialValue)")
        }
        let footer = try read(file.descriptor, SnapshotFile.memory, at: byteCount, byteCount: MemoryFooter.byteCount)
        guard footer == MemoryFooter.page(id: id) else {
            throw .damaged(path, reason: "it is the memory of another snapshot than the state beside it")
        }
        do throws(GuestMemoryError) {
            return try MemoryFile(adopting: file.descriptor, path: path, byteCount: byteCount)
        } catch {
            throw .damaged(path, reason: "\(error)")
        }
    }

    /// A file of the snapshot, open for reading.
    package struct OpenFile: ~Copyable {
        package let descriptor: OwnedDescriptor
        /// Its size.
        package let byteCount: UInt64
    }

    /// Opens a file of the snapshot.
    ///
    /// - Parameter name: Of `SnapshotFile`, or of a disk behind `disks/`.
    /// - Returns: The file.
    /// - Throws: `damaged` where it is missing or no regular file, `file` where it cannot be opened.
    package func open(_ name: String) throws(SnapshotError) -> OpenFile {
        let path = path.appending(name)
        var place = folder.rawValue
        var last = name[...]
        // Not through a link either: the folder of disks is one of the snapshot's own.
        var disks: OwnedDescriptor?
        if name.hasPrefix(SnapshotFile.disks + "/") {
            last = name.dropFirst(SnapshotFile.disks.count + 1)
            let folder = unsafe openat(
                place,
                SnapshotFile.disks,
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
            )
            guard folder >= 0, SnapshotFile.isDiskName(String(last)) else {
                throw .damaged(path, reason: "the folder of its disks cannot be opened")
            }
            disks = OwnedDescriptor(adopting: folder)
            place = folder
        }
        // Without waiting for whoever would write into a named pipe.
        let file = unsafe openat(place, String(last), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        let error = Errno(rawValue: errno)
        _ = disks.take()
        guard file >= 0 else {
            switch error {
            case .noSuchFileOrDirectory where name == SnapshotFile.state:
                throw .notASnapshot(self.path, reason: "there is no file 'state' in it")
            case .noSuchFileOrDirectory: throw .damaged(path, reason: "the file is missing")
            case .tooManySymbolicLinkLevels: throw .damaged(path, reason: "it is a symbolic link")
            default: throw .file(operation: "open", path, error)
            }
        }
        let descriptor = OwnedDescriptor(adopting: file)
        var status = stat()
        guard unsafe fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .damaged(path, reason: "it is not a regular file")
        }
        return OpenFile(descriptor: descriptor, byteCount: UInt64(clamping: status.st_size))
    }

    private func read(
        _ file: borrowing OwnedDescriptor,
        _ name: String,
        at offset: UInt64,
        byteCount: Int
    ) throws(SnapshotError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        var done = 0
        while done < byteCount {
            let count = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe pread(
                    file.rawValue,
                    buffer.baseAddress.map { unsafe $0 + done },
                    byteCount - done,
                    off_t(clamping: offset) + off_t(done)
                )
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let error = count < 0 ? Errno(rawValue: errno) : .ioError
                throw .file(operation: "read", path.appending(name), error)
            }
            done += count
        }
        return bytes
    }
}

/// Takes any state, for those who only want to know that it is one.
private struct AnyState: Decodable {
    init(from decoder: any Decoder) {}
}
