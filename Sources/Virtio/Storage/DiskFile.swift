// SPDX-License-Identifier: Apache-2.0

import CHost
import CStorage
import Glibc
import Host
package import SystemPackage

/// A raw image file or a block device of the host, open and locked as long as this lives.
///
/// The lock is advisory and belongs to the open file description: any number may read a disk, or one may write it. The
/// kernel drops it when the last descriptor closes, however the process ends.
package final class DiskFile: Sendable {
    package let path: FilePath
    package let isReadOnly: Bool
    package let isDirect: Bool
    /// The smallest unit that the disk reads and writes, in bytes.
    package let logicalBlockSize: Int
    /// The unit in which the disk works best, in bytes.
    package let physicalBlockSize: Int
    /// The optimal size of input and output in bytes; 0 where nobody knows.
    package let optimalIOSize: Int
    /// The alignment of memory addresses; 1 unless `isDirect`.
    package let memoryAlignment: Int
    /// Indicates whether ranges can be given back.
    package let canDiscard: Bool

    private let owned: OwnedDescriptor
    private let isBlockDevice: Bool

    /// Returns whether this is the file that `path` names now.
    package func isNamed(_ path: FilePath) -> Bool {
        var mine = stat()
        guard unsafe fstat(owned.rawValue, &mine) == 0, let other = try? Self.status(of: path) else { return false }
        return mine.st_dev == other.st_dev && mine.st_ino == other.st_ino
    }

    /// Returns whether a machine has the file at `path` as a disk now; on a file system without locks it may be.
    package static func isInUse(_ path: FilePath) -> Bool {
        guard let file = try? open(path, isReadOnly: true, isDirect: false) else { return false }
        return cstorage_is_locked(file.rawValue) != 0
    }

    /// Opens and locks `path`.
    ///
    /// `isReadOnly` opens it for reading only, and lets others read it too. `isDirect` passes the page cache by (`O_DIRECT`).
    package init(path: FilePath, isReadOnly: Bool, isDirect: Bool) throws(StorageError) {
        // A pipe would wait for its other end; and a device may do things when it is opened. So look first.
        let kind = try Self.status(of: path).st_mode & S_IFMT
        guard kind == S_IFREG || kind == S_IFBLK else { throw .notADisk(path, kind: Self.name(of: kind)) }
        let file = try Self.open(path, isReadOnly: isReadOnly, isDirect: isDirect)
        let raw = file.rawValue
        guard Self.lock(raw, exclusively: !isReadOnly) else { throw .inUse(path, isReadOnly: isReadOnly) }

        isBlockDevice = kind == S_IFBLK
        var (logical, physical, optimal): (UInt32, UInt32, UInt32) = (512, 512, 0)
        if isBlockDevice {
            let result = unsafe cstorage_device_blocks(raw, &logical, &physical, &optimal)
            if result < 0 { throw .file(path, operation: "BLKSSZGET", Errno(rawValue: -result)) }
            guard isReadOnly || cstorage_device_is_read_only(raw) != 1 else { throw .readOnlyDevice(path) }
            canDiscard = !isReadOnly && Self.deviceCanDiscard(raw)
        } else {
            var status = stat()
            unsafe fstat(raw, &status)
            physical = UInt32(clamping: min(max(status.st_blksize, 512), 4096))
            // Behind its end, where there is nothing to lose.
            let end = UInt64(clamping: status.st_size)
            canDiscard = !isReadOnly && cstorage_allocate(raw, CSTORAGE_HOLE, end, 4096) == 0
        }
        var (offsetAlignment, memoryAlignment): (UInt32, UInt32) = (1, 1)
        if isDirect {
            unsafe cstorage_direct_alignment(raw, &offsetAlignment, &memoryAlignment)
            // A kernel that cannot tell (before 6.1): what no disk exceeds.
            if offsetAlignment == 0 { (offsetAlignment, memoryAlignment) = (4096, 4096) }
            logical = max(logical, offsetAlignment)
        }
        self.path = path
        (self.isReadOnly, self.isDirect) = (isReadOnly, isDirect)
        (logicalBlockSize, physicalBlockSize) = (Int(logical), Int(max(physical, logical)))
        optimalIOSize = Int(optimal)
        self.memoryAlignment = Int(max(memoryAlignment, 1))
        owned = file
    }

    /// The descriptor, which stays owned here.
    var descriptor: CInt { owned.rawValue }

    /// The size in bytes, at this moment: whole logical blocks.
    ///
    /// A file that ends within a block has all of that block: bytes beyond its end read as zeros, and the file grows when
    /// that is written.
    package var byteCount: UInt64 {
        let block = UInt64(logicalBlockSize)
        if isBlockDevice {
            var size: UInt64 = 0
            unsafe cstorage_device_size(descriptor, &size)
            return size / block * block
        }
        return (fileByteCount + block - 1) / block * block
    }

    /// The size in bytes, at this moment, with a part of a block at its end as it is.
    package var fileByteCount: UInt64 {
        guard !isBlockDevice else { return byteCount }
        return UInt64(clamping: (try? owned.borrowed.stat())?.size ?? 0)
    }

    /// The alignment of ranges for `fallocate`.
    var allocationAlignment: UInt64 { isBlockDevice ? UInt64(logicalBlockSize) : 1 }

    // MARK: - Opening

    /// Locks the file, unless somebody else has it.
    ///
    /// The kernel takes a moment to end the io_uring of a process that was killed, and keeps the lock until the last of its
    /// requests is done, as it should: so try again for a while.
    ///
    /// Firecracker locks nothing: its users give one root to many machines, which mount it read-only, without a word of that.
    private static func lock(_ file: CInt, exclusively: Bool) -> Bool {
        guard !ProcessArguments.standsInForFirecracker else { return true }
        for _ in 0..<50 {
            let result = cstorage_lock(file, exclusively)
            // A file system without locks, such as some network ones, is not a reason to refuse the disk.
            guard result == -EAGAIN || result == -EACCES else { return true }
            usleep(20_000)
        }
        return false
    }

    private static func status(of path: FilePath) throws(StorageError) -> stat {
        var status = stat()
        let result = unsafe path.withPlatformString { unsafe chost_stat_again($0, &status) }
        guard result == 0 else { throw .file(path, operation: "open", Errno(rawValue: -result)) }
        return status
    }

    private static func open(
        _ path: FilePath,
        isReadOnly: Bool,
        isDirect: Bool
    ) throws(StorageError) -> OwnedDescriptor {
        // The type may have changed since it was looked at: then at least nothing waits.
        let flags = (isReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
        let file = unsafe path.withPlatformString { unsafe chost_open_again($0, flags) }
        guard file >= 0 else { throw .file(path, operation: "open", Errno(rawValue: -file)) }
        let owned = OwnedDescriptor(adopting: file)
        // Set afterwards, so that a file system without it differs from a missing file.
        let kept = fcntl(file, F_GETFL) & ~O_NONBLOCK
        guard fcntl(file, F_SETFL, isDirect ? kept | directFlag : kept) == 0 else {
            throw errno == EINVAL && isDirect
                ? .directUnsupported(path) : .file(path, operation: "open", Errno(rawValue: errno))
        }
        return owned
    }

    /// `O_DIRECT` of x86-64, which the Glibc module does not show.
    private static let directFlag: CInt = 0o40000

    private static func name(of kind: mode_t) -> String {
        switch kind {
        case S_IFDIR: "folder"
        case S_IFIFO: "named pipe"
        case S_IFSOCK: "socket"
        case S_IFCHR: "character device"
        default: "special file"
        }
    }

    /// An attribute of the device in sysfs; a partition's folder lies in its disk's.
    private static func deviceCanDiscard(_ file: CInt) -> Bool {
        guard let device = (try? FileDescriptor(rawValue: file).stat())?.specialDeviceID else { return false }
        let own = "/sys/dev/block/\(device.major):\(device.minor)"
        for folder in [own, "\(own)/.."] {
            let limit = try? FileDescriptor.open(
                FilePath("\(folder)/queue/discard_max_bytes"),
                .readOnly,
                options: .closeOnExec
            )
            guard let limit else { continue }
            var digits = [UInt8](repeating: 0, count: 32)
            let count = (try? unsafe digits.withUnsafeMutableBytes { try unsafe limit.read(into: $0) }) ?? 0
            try? limit.close()
            return digits.prefix(count).contains { (UInt8(ascii: "1")...UInt8(ascii: "9")).contains($0) }
        }
        return false
    }
}
