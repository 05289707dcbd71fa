// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// File systems in files, made by `mke2fs` without a mount and without rights.
package enum FileSystemImage {
    /// The owner of a file that the folder itself cannot have.
    package typealias Owners = [String: (user: UInt32, group: UInt32)]

    /// The size of a container's own disk, which is sparse.
    private static let scratchByteCount: Int64 = 8 << 30

    /// Makes an ext4 file system with the files of a folder, which is never written to.
    ///
    /// `owners` are those that differ from the folder's.
    package static func make(
        _ path: FilePath,
        of folder: FilePath,
        _ listing: TreeListing,
        owners: Owners = [:]
    ) throws(RootImageError) {
        // Room for block lists, and for a folder that is larger here than there.
        let blocks = listing.blockCount + listing.blockCount / 32 + listing.entryCount / 8 + 2048
        let inodes = listing.entryCount + listing.entryCount / 16 + 64
        try makeSparse(path, byteCount: Int64(blocks + inodes / 16) * 4096)
        try run(
            "mke2fs",
            ["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-N", "\(inodes)", "-m", "0"]
                + [
                    "-O", "^has_journal,^metadata_csum,^resize_inode,^64bit", "-E",
                    "root_owner=0:0,lazy_itable_init=1,nodiscard",
                ]
                + ["-d", folder.hostText, path.hostText]
        )
        guard !owners.isEmpty else { return }
        var script = ""
        for (file, owner) in owners.sorted(by: { $0.key < $1.key }) where !file.contains(where: { "\"\n".contains($0) })
        {
            script +=
                "set_inode_field \"/\(file)\" uid \(owner.user)\nset_inode_field \"/\(file)\" gid \(owner.group)\n"
        }
        try edit(path, script)
    }

    /// Has `debugfs` change a file system.
    private static func edit(_ path: FilePath, _ commands: String) throws(RootImageError) {
        // In a file: a command line has a limit.
        let list = FilePath(hostText: path.hostText + ".commands")
        defer { list.removeFile() }
        do throws(Errno) { try FileContents.write(commands.hostBytes, to: list) } catch {
            throw RootImageError("cannot write \(list): \(error)")
        }
        try run("debugfs", ["-w", "-f", list.hostText, path.hostText])
    }

    /// Makes an empty ext4 file system for a container's writes.
    static func makeScratch(_ path: FilePath) throws(RootImageError) {
        let full = FilePath(hostText: path.hostText + ".full")
        defer { full.removeFile() }
        try makeSparse(full, byteCount: scratchByteCount)
        try run("mke2fs", scratchArguments + [full.hostText])
        try edit(full, scratchFolders)
        // mke2fs has reserved room for inodes, 128 MiB of it. A copy sees a hole there, once no page of it is in memory.
        if let file = try? OwnedDescriptor(opening: full, O_RDWR), fsync(file.rawValue) == 0 {
            _ = posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
        }
        try copy(full, to: path)
    }

    /// Copies a file system to a new file, which has its name when it is whole.
    static func copy(_ image: FilePath, to path: FilePath) throws(RootImageError) {
        let file: DraftFile
        do throws(Errno) { file = try DraftFile(in: path.parent) } catch {
            throw RootImageError("cannot make \(path): \(error)")
        }
        do throws(FileCopy.Failure) { try FileCopy.copy(image, to: file.descriptor) } catch {
            throw RootImageError("cannot \(error.operation) \(error.isOfSource ? image : path): \(error.error)")
        }
        // Nothing is lost with it that a container has written.
        do throws(Errno) { try file.publish(as: path, isDurable: false) } catch {
            throw RootImageError("cannot make \(path): \(error)")
        }
    }

    /// With one block group in each flexible group, because Linux reads the bitmaps of a whole one for the first block that it needs.
    private static let scratchArguments =
        ["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0", "-G", "1", "-J", "size=4"]
        + ["-O", "^metadata_csum,^resize_inode,^64bit", "-E", "root_owner=0:0,lazy_itable_init=1,nodiscard"]

    /// The folders of the guest's overlay: a guest that makes them looks through bitmaps of the disk for room.
    private static let scratchFolders = "mkdir upper\nmkdir work\n"

    /// A digest of all inputs of an empty file system.
    static var scratchDigest: String {
        let facts = "sparse \(scratchByteCount) \(scratchArguments.joined(separator: " ")) \(scratchFolders)"
        return SHA256.hex(of: Array(facts.utf8))
    }

    private static func makeSparse(_ path: FilePath, byteCount: Int64) throws(RootImageError) {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let raw = unsafe path.withPlatformString { unsafe open($0, flags, 0o600) }
        guard raw >= 0 else { throw RootImageError("cannot make \(path): \(Errno(rawValue: errno))") }
        let file = OwnedDescriptor(adopting: raw)
        guard ftruncate(file.rawValue, off_t(byteCount)) == 0 else {
            throw RootImageError("cannot make \(path): \(Errno(rawValue: errno))")
        }
    }

    /// Runs a program of e2fsprogs.
    private static func run(_ name: String, _ arguments: [String]) throws(RootImageError) {
        guard let program = HostProgram.find(name) else {
            throw RootImageError("\(name) is missing: install e2fsprogs (apt-get install e2fsprogs)")
        }
        let said: HostProgram.Ending
        do throws(HostProgram.Failure) { said = try HostProgram.run(program, arguments) } catch {
            throw RootImageError("\(error)")
        }
        guard said.status == 0 else {
            throw RootImageError("\(name) failed: \(printable(said.text, keepsLines: false))")
        }
    }
}
