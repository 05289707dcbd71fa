// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// The few things that a comparison does with files.
enum Files {
    /// All bytes of a file; those of `/proc` have no size beforehand.
    static func bytes(_ path: String) throws(ComparisonError) -> [UInt8] {
        do throws(FileContents.Failure) {
            return try FileContents.bytes(of: FilePath(hostText: path), limit: .max - 1, kind: .any)
        } catch .system(let errno) {
            throw .system(operation: "reading \(path)", errno: errno)
        } catch {
            throw .unexpected("reading \(path): \(error)")
        }
    }

    static func text(_ path: String) throws(ComparisonError) -> String {
        String(decoding: try bytes(path), as: UTF8.self)
    }

    /// Makes a file, or replaces what is in it.
    static func write(
        _ bytes: some Sequence<UInt8>,
        to path: String,
        mode: FilePermissions = [.ownerReadWrite, .groupRead, .otherRead]
    ) throws(ComparisonError) {
        do throws(Errno) {
            let file = try OwnedDescriptor(opening: FilePath(hostText: path), O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
            try file.borrowed.write(all: bytes)
        } catch {
            throw .system(operation: "writing \(path)", errno: error)
        }
    }

    /// Creates a folder if it is missing.
    static func makeFolder(_ path: String) throws(ComparisonError) {
        do throws(Errno) { try FolderTree.make(FilePath(hostText: path)) } catch {
            throw .system(operation: "making the folder \(path)", errno: error)
        }
    }

    /// Removes a file or a folder with all that is in it; stays on its file system.
    static func remove(_ path: String) { FolderTree.remove(FilePath(hostText: path)) }

    /// The names in a folder, none where it cannot be read.
    static func names(in path: String) -> [String] {
        (try? FolderListing.names(in: path)) ?? []
    }

    /// The size of a file or folder on its disk: blocks, so holes do not count.
    static func allocatedByteCount(_ path: String) -> Double {
        guard let status = try? FilePath(hostText: path).stat(followTargetSymlink: false) else { return 0 }
        let own = Double(status.sizeAllocated)
        guard status.type == .directory else { return own }
        return names(in: path).reduce(own) { $0 + allocatedByteCount("\(path)/\($1)") }
    }
}
