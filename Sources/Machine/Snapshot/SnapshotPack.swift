// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Host
package import SystemPackage

/// A snapshot in one file, for another host: a zstd frame of its files, without their holes.
///
///     martlet-pack 1
///     file state 19226
///     data 0 19226
///     <19226 bytes>
///     file memory 134221824
///     …
///     end
package enum SnapshotPack {
    private static let magic = "martlet-pack 1"
    private static let lineLimit = 256
    private static let chunkByteCount = 1 << 20
    /// More than the addresses of x86-64 have place for, and than any disk.
    private static let fileLimit: UInt64 = 1 << 52

    /// The cause of a failure, without the file that it is about.
    enum Failure: Error {
        case noMemory
        case host(Errno)
        case damaged(String)
    }

    // MARK: - Packing

    /// Packs a snapshot.
    ///
    /// Nothing is replaced; where it throws, no file is left.
    package static func pack(_ folder: FilePath, to pack: FilePath) throws(SnapshotError) {
        let snapshot = try SnapshotFolder(folder)
        try snapshot.check()
        do {
            let file = try DraftFile(in: pack.parent)
            let writer = try ZstdWriter(to: file.descriptor)
            try writer.write(Array("\(magic)\n".utf8))
            let disks = (try? FolderListing.names(in: snapshot.place.disks.string)) ?? []
            try write(snapshot.stateFile(), SnapshotFile.state, to: writer)
            try write(snapshot.memoryFile(), SnapshotFile.memory, to: writer)
            for id in disks.sorted() where SnapshotFile.isDiskName(id) {
                try write(snapshot.disk(id), "\(SnapshotFile.disks)/\(id)", to: writer)
            }
            try writer.write(Array("end\n".utf8))
            try writer.finish()
            try file.publish(as: pack)
        } catch let error as SnapshotError {
            throw error
        } catch {
            throw self.error(error, "write", pack)
        }
    }

    private static func write(
        _ file: borrowing SnapshotFolder.OpenFile,
        _ name: String,
        to writer: ZstdWriter
    ) throws(Failure) {
        try writer.write(Array("file \(name) \(file.byteCount)\n".utf8))
        let descriptor = file.descriptor.rawValue
        var position: UInt64 = 0
        while position < file.byteCount {
            let data = chost_seek_data(descriptor, Int64(position))
            guard data >= 0, UInt64(data) < file.byteCount else { break }
            let hole = chost_seek_hole(descriptor, data)
            position = hole > data ? min(UInt64(hole), file.byteCount) : file.byteCount
            try writer.write(Array("data \(data) \(position - UInt64(data))\n".utf8))
            var offset = UInt64(data)
            while offset < position {
                let bytes: [UInt8]
                do throws(Errno) {
                    bytes = try file.descriptor.borrowed.bytes(
                        count: Int(min(position - offset, UInt64(chunkByteCount))),
                        at: offset
                    )
                } catch {
                    throw .host(error)
                }
                guard !bytes.isEmpty else { throw .host(.ioError) }
                try writer.write(bytes)
                offset += UInt64(bytes.count)
            }
        }
    }

    // MARK: - Unpacking

    /// Makes a snapshot of a pack, which may come from anybody.
    ///
    /// Nothing is replaced; where it throws, no snapshot is left.
    package static func unpack(_ pack: FilePath, to folder: FilePath) throws(SnapshotError) {
        let draft = try SnapshotDraft(folder, replacing: false)
        do {
            let file = try FileDescriptor.open(pack, .readOnly, options: [.closeOnExec])
            defer { try? file.close() }
            try unpack(ZstdReader(from: file), to: draft)
        } catch let error as SnapshotError {
            throw error
        } catch {
            throw self.error(error, "read", pack)
        }
        try draft.publish()
    }

    private static func unpack(_ reader: ZstdReader, to draft: SnapshotDraft) throws {
        guard try line(reader) == magic else { throw Failure.damaged("it does not begin with '\(magic)'") }
        var words = try line(reader).split(separator: " ").map(String.init)
        while words != ["end"] {
            guard words.count == 3, words[0] == "file", let size = UInt64(words[2]), size <= fileLimit,
                isName(words[1])
            else { throw Failure.damaged("a file has no name or no size") }
            let name = words[1]
            let file = try draft.makeFile(name)
            guard ftruncate(file.rawValue, off_t(size)) == 0 else { throw Failure.host(Errno(rawValue: errno)) }
            words = try line(reader).split(separator: " ").map(String.init)
            while words.first == "data" {
                guard words.count == 3, let start = UInt64(words[1]), let count = UInt64(words[2]), start <= size,
                    count <= size - start
                else { throw Failure.damaged("\(name) has data beyond its end") }
                var offset = start
                while offset < start + count {
                    let left = Int(min(start + count - offset, UInt64(chunkByteCount)))
                    let bytes = try reader.read(atMost: left)
                    guard !bytes.isEmpty else { throw Failure.damaged("it ends too early") }
                    try file.borrowed.writeAll(toAbsoluteOffset: Int64(offset), bytes)
                    offset += UInt64(bytes.count)
                }
                words = try line(reader).split(separator: " ").map(String.init)
            }
        }
        // The frame's checksum follows it.
        guard try reader.read(atMost: 1).isEmpty else { throw Failure.damaged("it continues past its end") }
    }

    private static func line(_ reader: ZstdReader) throws(Failure) -> String {
        var text: [UInt8] = []
        while text.count < lineLimit {
            guard let byte = try reader.read(atMost: 1).first else { throw .damaged("it ends too early") }
            if byte == UInt8(ascii: "\n") { return String(decoding: text, as: UTF8.self) }
            text.append(byte)
        }
        throw .damaged("it has a line of more than \(lineLimit) bytes")
    }

    private static func isName(_ name: String) -> Bool {
        if name == SnapshotFile.state || name == SnapshotFile.memory { return true }
        let folder = SnapshotFile.disks + "/"
        return name.hasPrefix(folder) && SnapshotFile.isDiskName(String(name.dropFirst(folder.count)))
    }

    private static func error(_ error: any Error, _ operation: String, _ path: FilePath) -> SnapshotError {
        switch error {
        case Failure.noMemory: .file(operation: operation, path, .noMemory)
        case Failure.host(let errno): .file(operation: operation, path, errno)
        case Failure.damaged(let reason): .damaged(path, reason: reason)
        default: .file(operation: operation, path, error as? Errno ?? .ioError)
        }
    }
}
