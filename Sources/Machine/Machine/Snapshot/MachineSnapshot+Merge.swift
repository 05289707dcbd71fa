// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestMemory
import Host
import Snapshot
import Storage
package import SystemPackage

extension MachineSnapshot {
    /// Makes a whole snapshot of one that has only the differences to another one, and of that one.
    ///
    /// - Parameters:
    ///   - base: The other one.
    ///   - path: The folder to be made, in one that exists; nothing is replaced.
    /// - Throws: `SnapshotError`, `StorageError`; no folder is left then.
    package func merge(into base: MachineSnapshot, as path: FilePath) throws {
        let description = machine.memory
        guard description.base == base.machine.id, description.byteCount == base.machine.memory.byteCount else {
            throw SnapshotError.notASnapshot(
                folder.path,
                reason: "it does not have the differences to \(base.folder.path), but those to another one, or all"
            )
        }
        guard let parts = description.parts else {
            throw SnapshotError.damaged(folder.place.state, reason: "its pages are not those of the machine's memory")
        }
        let draft = try SnapshotDraft(path, replacing: false)
        // The base first: where the file system can share blocks, that is no copy.
        _ = try base.memory()
        let file = try draft.makeFile(SnapshotFile.memory)
        let source = try base.folder.memoryFile()
        try Self.copy(source.descriptor, to: file, named: draft.place.memory)
        guard ftruncate(file.rawValue, off_t(description.byteCount)) == 0 else {
            throw SnapshotError.file(operation: "write", draft.place.memory, Errno(rawValue: errno))
        }
        let changed = try folder.memoryFile()
        let changes = try MemoryFile(
            adopting: OwnedDescriptor(duplicating: changed.descriptor.borrowed),
            path: folder.place.memory,
            byteCount: description.byteCount
        )
        let step = Int(MemoryChecksum.chunkByteCount)
        for part in parts {
            for start in stride(from: part.lowerBound, to: part.upperBound, by: step) {
                let bytes = try changes.bytes(start..<min(start + UInt64(step), part.upperBound))
                try file.borrowed.writeAll(toAbsoluteOffset: Int64(start), bytes)
            }
        }
        for disk in machine.disks where disk.isCopied {
            let copy = try draft.makeFile("\(SnapshotFile.disks)/\(disk.id)")
            let source = try folder.disk(disk.id, byteCount: disk.byteCount)
            try Self.copy(source, to: copy, named: draft.place.disk(disk.id))
        }
        var whole = machine
        whole.memory.complete(extents: MemoryFile.dataExtents(of: file.borrowed, in: 0..<description.byteCount))
        try draft.finishMemory(file, byteCount: description.byteCount, id: machine.id)
        let merged = try MemoryFile(adopting: file, path: draft.place.memory, byteCount: description.byteCount)
        guard try whole.memory.damage(in: merged).isEmpty else {
            throw SnapshotError.damaged(
                folder.place.memory,
                reason: "with the memory of \(base.folder.path) it does not make the one that was saved"
            )
        }
        try draft.write(StateFile.text(of: whole, console: folder.console()), to: SnapshotFile.state)
        try draft.publish()
    }

    private static func copy(
        _ file: borrowing OwnedDescriptor,
        to copy: borrowing OwnedDescriptor,
        named path: FilePath
    ) throws(StorageError) {
        try DiskFile.copy(FilePath("/proc/self/fd/\(file.rawValue)"), to: copy.rawValue, named: path)
    }
}
