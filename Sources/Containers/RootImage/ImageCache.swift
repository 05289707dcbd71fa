// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// File systems that were made before, by what they are made of.
///
/// An entry is a folder that appears when it is whole. What nobody used for the longest time goes when there is too much; whoever
/// has such a file open keeps it.
package struct ImageCache: Sendable {
    /// The room that entries may take.
    package static let byteLimit: Int64 = 20 << 30
    /// Changes when an older Martlet's entries are not what this one makes.
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
    /// - Parameter key: What it is made of, as a digest.
    /// - Returns: `nil` where it has to be made.
    package func entry(_ key: String) -> FilePath? {
        let path = self.path(key)
        // The time of the last use.
        guard unsafe path.withPlatformString({ unsafe utimes($0, nil) }) == 0 else { return nil }
        return path
    }

    /// Makes an entry, unless somebody else is faster.
    ///
    /// - Parameters:
    ///   - key: What it is made of, as a digest.
    ///   - fill: Fills an empty folder, which only this user can enter.
    /// - Returns: The entry's folder.
    /// - Throws: `RootImageError`, or what `fill` throws.
    package func make(_ key: String, _ fill: (FilePath) throws -> Void) throws -> FilePath {
        if let entry = entry(key) { return entry }
        removeAbandoned()
        let draft = try makeDraft()
        defer { FolderTree.remove(draft) }
        try fill(draft)
        let path = path(key)
        let result = unsafe draft.withPlatformString { draft in
            unsafe path.withPlatformString { unsafe rename(draft, $0) }
        }
        // Not empty: somebody else has made the same.
        guard result == 0 || errno == ENOTEMPTY || errno == EEXIST else {
            throw RootImageError("cannot name \(path): \(Errno(rawValue: errno))")
        }
        removeOldest(but: path)
        return path
    }

    /// Makes an empty folder for work in progress, which the caller removes.
    ///
    /// - Returns: Its path; where this process is killed, the next one that makes an entry removes it.
    /// - Throws: `RootImageError`.
    package func makeDraft() throws(RootImageError) -> FilePath {
        let draft = draftPath()
        guard unsafe draft.withPlatformString({ unsafe mkdir($0, 0o700) }) == 0 else {
            throw RootImageError("cannot make \(draft): \(Errno(rawValue: errno))")
        }
        return draft
    }

    /// A path for work in progress, by which `removeAbandoned` knows whose it is.
    private func draftPath() -> FilePath {
        folder.appending(".draft-\(getpid())-\(String(UInt64.random(in: .min ... .max), radix: 16))")
    }

    private func path(_ key: String) -> FilePath { folder.appending("v\(Self.version)-\(key)") }

    // MARK: - Removal

    /// Removes what processes left behind that did not come to the end.
    private func removeAbandoned() {
        for name in (try? FolderListing.names(in: folder.hostText)) ?? [] where name.hasPrefix(".draft-") {
            let process = name.dropFirst(7).prefix { $0 != "-" }
            if let id = pid_t(process), kill(id, 0) != 0, errno == ESRCH { FolderTree.remove(folder.appending(name)) }
        }
    }

    private func removeOldest(but kept: FilePath) {
        var entries: [(path: FilePath, time: Int, byteCount: Int64)] = []
        for name in (try? FolderListing.names(in: folder.hostText)) ?? [] where name.hasPrefix("v") {
            let path = folder.appending(name)
            var status = stat()
            guard unsafe path.withPlatformString({ unsafe lstat($0, &status) }) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFLNK {
                removeDangling(path)
                continue
            }
            var byteCount: Int64 = 0
            for file in (try? FolderListing.names(in: path.hostText)) ?? [] {
                var status = stat()
                _ = unsafe path.appending(file).withPlatformString { unsafe stat($0, &status) }
                byteCount += Int64(status.st_blocks) * 512
            }
            entries.append((path, status.st_mtim.tv_sec, byteCount))
        }
        var total = entries.reduce(0) { $0 + $1.byteCount }
        for entry in entries.sorted(by: { $0.time < $1.time }) where total > Self.byteLimit && entry.path != kept {
            FolderTree.remove(entry.path)
            total -= entry.byteCount
        }
    }

    private func removeDangling(_ link: FilePath) {
        guard unsafe link.withPlatformString({ unsafe access($0, F_OK) }) != 0 else { return }
        _ = unsafe link.withPlatformString { unsafe unlink($0) }
    }

    // MARK: - Other names of entries

    /// The entry that a key was found to mean before, marked as used now.
    ///
    /// - Returns: `nil` for a key that is not known, or whose entry is gone.
    private func entry(knownAs key: String) -> FilePath? {
        var buffer = [CChar](repeating: 0, count: 256)
        let count = unsafe path(key).withPlatformString { unsafe readlink($0, &buffer, buffer.count - 1) }
        guard count > 0, let start = FilePath(platformString: buffer).string.wholeMatch(of: /v[0-9]+-(tree-[0-9a-f]+)/)
        else { return nil }
        return entry(String(start.output.1))
    }

    /// Lets a key mean an entry; that this fails is of no consequence.
    private func link(_ key: String, to entry: FilePath) {
        let draft = draftPath()
        let name = entry.lastComponent?.string ?? ""
        guard unsafe draft.withPlatformString({ draft in unsafe name.withCString { unsafe symlink($0, draft) } }) == 0
        else { return }
        let path = path(key)
        let result = unsafe draft.withPlatformString { draft in
            unsafe path.withPlatformString { unsafe rename(draft, $0) }
        }
        if result != 0 { FolderTree.remove(draft) }
    }

    // MARK: - What containers use

    /// The file system of a folder, made anew only where something in the folder has changed.
    ///
    /// A folder that an engine has mounted is known by its layers; the files of any other one are looked at.
    ///
    /// - Parameter folder: A root file system.
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
        try make("scratch") { draft in
            try FileSystemImage.makeScratch(draft.appending("scratch.ext4"))
        }.appending("scratch.ext4")
    }
}
