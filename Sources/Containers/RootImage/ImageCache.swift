// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Host
package import SystemPackage

/// File systems that were made before, by a digest of their contents.
///
/// An entry is a folder that appears when it is whole. What nobody used for the longest time goes when there is too much; whoever
/// has such a file open keeps it.
package struct ImageCache: Sendable {
    /// The room that entries may take.
    package static let byteLimit: Int64 = 20 << 30
    /// The version of the entries: changes when older entries are no longer valid.
    private static let version = 1

    package let folder: FilePath

    /// This user's folder for what Martlet makes again when it is gone; under `/var/cache` for a process without a home.
    package static var base: FilePath {
        ProcessArguments.cacheFolder ?? "/var/cache/martlet"
    }

    /// - Parameter folder: The cache's folder; `nil` for this user's.
    /// - Throws: `RootImageError` where it cannot be made.
    package init(_ folder: FilePath? = nil) throws(RootImageError) {
        self.folder = folder ?? Self.base.appending("images")
        do throws(Errno) { try FolderTree.make(self.folder, mode: 0o700) } catch {
            throw RootImageError("cannot make \(self.folder): \(error)")
        }
    }

    /// The folder of an entry, marked as used now.
    ///
    /// - Returns: `nil` where it must be made.
    package func entry(_ key: String) -> FilePath? {
        let path = self.path(key)
        // The time of the last use.
        guard unsafe path.withPlatformString({ unsafe utimes($0, nil) }) == 0 else { return nil }
        return path
    }

    /// Makes an entry, unless somebody else is faster.
    ///
    /// - Parameters:
    ///   - key: The digest of its contents.
    ///   - fill: Fills an empty folder, which only this user can enter.
    /// - Returns: The entry's folder.
    /// - Throws: `RootImageError`, or what `fill` throws.
    package func make(_ key: String, _ fill: (FilePath) throws -> Void) throws -> FilePath {
        if let entry = entry(key) { return entry }
        let draft = try makeDraft()
        defer { withExtendedLifetime(draft) {} }
        try fill(draft.path)
        let path = path(key)
        do throws(Errno) { try draft.path.rename(to: path) } catch {
            // Not empty: another process has made the same.
            guard [ENOTEMPTY, EEXIST].contains(error.rawValue) else {
                throw RootImageError("cannot name \(path): \(error)")
            }
        }
        removeOldest(but: path)
        return path
    }

    /// Makes an empty folder for work in progress.
    package func makeDraft() throws(RootImageError) -> DraftFolder {
        do throws(Errno) {
            return try DraftFolder(in: folder, prefix: ".draft-")
        } catch {
            throw RootImageError("cannot make a folder in \(folder): \(error)")
        }
    }

    private func path(_ key: String) -> FilePath { folder.appending("v\(Self.version)-\(key)") }

    // MARK: - Removal

    private func removeOldest(but kept: FilePath) {
        var entries: [(path: FilePath, time: Int, byteCount: Int64)] = []
        for name in (try? FolderListing.names(in: folder.hostText)) ?? [] where name.hasPrefix("v") {
            let path = folder.appending(name)
            guard let status = try? path.stat(followTargetSymlink: false) else { continue }
            guard status.type != .symbolicLink else {
                if !path.exists { path.removeFile() }
                continue
            }
            let files = (try? FolderListing.names(in: path.hostText)) ?? []
            let byteCount = files.reduce(0) { $0 + ((try? path.appending($1).stat())?.sizeAllocated ?? 0) }
            entries.append((path, status.st_mtim.tv_sec, byteCount))
        }
        var total = entries.reduce(0) { $0 + $1.byteCount }
        for entry in entries.sorted(by: { $0.time < $1.time }) where total > Self.byteLimit && entry.path != kept {
            FolderTree.remove(entry.path)
            total -= entry.byteCount
        }
    }

    // MARK: - Other names of entries

    /// The entry that a key was found to mean before, marked as used now.
    ///
    /// - Returns: `nil` for a key that is not known, or whose entry is gone.
    private func entry(knownAs key: String) -> FilePath? {
        // "v1-tree-0123456789abcdef"
        let parts = (try? path(key).linkTarget())?.split(separator: "-", omittingEmptySubsequences: false) ?? []
        guard parts.count == 3, parts[0].first == "v", UInt32(parts[0].dropFirst()) != nil,
            parts[1] == "tree", !parts[2].isEmpty,
            parts[2].utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) })
        else { return nil }
        return entry("tree-\(parts[2])")
    }

    /// Lets a key mean an entry; that this fails is of no consequence.
    private func link(_ key: String, to entry: FilePath) {
        guard let folder = try? makeDraft() else { return }
        let draft = folder.path.appending("link")
        let name = entry.lastComponent?.string ?? ""
        guard unsafe draft.withPlatformString({ draft in unsafe name.withCString { unsafe symlink($0, draft) } }) == 0
        else { return }
        withExtendedLifetime(folder) { try? draft.rename(to: path(key)) }
    }

    // MARK: - What containers use

    /// The file system of a folder, made anew only where something in the folder has changed.
    ///
    /// A folder that an engine has mounted is known by its layers; the files of any other one are looked at.
    ///
    /// - Returns: The ext4 file.
    /// - Throws: `RootImageError`.
    package func base(of folder: FilePath) throws -> FilePath {
        let key = OverlayIdentity(of: folder).map { "overlay-\($0.digest)" }
        if let key, let entry = entry(knownAs: key) { return entry.appending("root.ext4") }
        let listing = try TreeListing(of: folder)
        let entry = try make("tree-\(listing.digest)") { draft in
            try FileSystemImage.make(draft.appending("root.ext4"), of: folder, listing)
        }
        if let key { link(key, to: entry) }
        return entry.appending("root.ext4")
    }

    /// An empty disk, to be copied.
    ///
    /// - Returns: The ext4 file, sparse.
    /// - Throws: `RootImageError`.
    package func scratch() throws -> FilePath {
        try make("scratch-\(FileSystemImage.scratchDigest)") { draft in
            try FileSystemImage.makeScratch(draft.appending("scratch.ext4"))
        }.appending("scratch.ext4")
    }

    /// Makes an empty disk for a container's writes.
    ///
    /// - Parameter path: Its name, which it gets when it is complete, in place of an existing file.
    /// - Throws: `RootImageError`.
    package func makeScratch(_ path: FilePath) throws {
        let template = try scratch()
        path.removeFile()
        try FileSystemImage.copy(template, to: path)
    }
}
