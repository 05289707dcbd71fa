// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// The files of a folder: the room that they need, and a digest that changes when any of them does.
package struct TreeListing: Hashable, Sendable {
    package private(set) var entryCount = 0
    /// The room for contents and folders, in blocks of 4 KiB.
    package private(set) var blockCount = 0
    /// The SHA-256 of paths, modes, owners, sizes, times and link targets.
    ///
    /// A file's number, and the time of its last change of any kind, which no program can set back, tell apart two files whose
    /// sizes and times of writing are the same, as those of reproducible builds are.
    package let digest: String

    private static let depthLimit = 1024

    /// - Parameters:
    ///   - root: The folder.
    ///   - entryLimit: The largest number of files and folders.
    ///   - inspect: Called with each file and folder in it.
    /// - Throws: `RootImageError` where a folder in it cannot be read, or where it has more entries.
    package init(
        of root: FilePath,
        entryLimit: Int = .max,
        inspect: (FilePath) -> Void = { _ in }
    ) throws(RootImageError) {
        var hash = SHA256()
        var (entryCount, blockCount) = (0, 0)
        try Self.visit(root, "", 0) { path, status, target throws(RootImageError) in
            entryCount += 1
            guard entryCount <= entryLimit else { throw RootImageError("\(root): more than \(entryLimit) files") }
            inspect(FilePath(hostText: root.hostText + path))
            let isFolder = status.st_mode & S_IFMT == S_IFDIR
            blockCount += isFolder ? 1 + status.st_size / 4096 : (status.st_size + 4095) / 4096
            // Not the size of a folder, which is its file system's own affair, nor when it changed: engines make empty files,
            // links and folders to mount on, in each container anew. What is in a folder and where a link leads is listed
            // anyway.
            let size = isFolder ? 0 : status.st_size
            let isMadeAnew = isFolder || size == 0 || status.st_mode & S_IFMT == S_IFLNK
            let times = isMadeAnew ? [] : [status.st_mtim, status.st_ctim]
            let number = isMadeAnew ? 0 : status.st_ino
            let line =
                "\(path)\0\(status.st_mode) \(status.st_uid) \(status.st_gid) \(size) \(number) \(status.st_rdev) \(target) "
                + times.map { "\($0.tv_sec).\($0.tv_nsec)" }.joined(separator: " ") + "\0"
            hash.add(line.hostBytes)
        }
        digest = hash.finish()
        (self.entryCount, self.blockCount) = (entryCount, blockCount)
    }

    private static func visit(
        _ folder: FilePath,
        _ relative: String,
        _ depth: Int,
        _ body: (String, stat, String) throws(RootImageError) -> Void
    ) throws(RootImageError) {
        guard depth < depthLimit else { throw RootImageError("\(folder): folders are nested too deeply") }
        let names: [String]
        do throws(Errno) { names = try FolderListing.names(in: folder.hostText) } catch {
            throw RootImageError("cannot read \(folder): \(error)")
        }
        for name in names.sorted() {
            let path = FilePath(hostText: folder.hostText + "/" + name)
            // Removed since it was listed.
            guard let status = try? path.stat(followTargetSymlink: false) else { continue }
            let inner = relative + "/" + name
            try body(inner, status.rawValue, status.type == .symbolicLink ? (try? path.linkTarget()) ?? "" : "")
            if status.type == .directory { try visit(path, inner, depth + 1, body) }
        }
    }
}
