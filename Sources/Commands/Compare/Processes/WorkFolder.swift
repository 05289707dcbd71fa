// SPDX-License-Identifier: Apache-2.0

import CCompare
import Glibc
import Host
import SystemPackage

/// The folder of one comparison: everything that it writes is in it, and it is gone in the end.
final class WorkFolder {
    let path: String
    /// Locked while its owner lives, however that ends.
    private let lock: OwnedLock

    /// Makes one in `TMPDIR`, else in `/var/tmp`, which is on a disk where `/tmp` may be in memory.
    ///
    /// - Throws: `ComparisonError.system`.
    init() throws(ComparisonError) {
        let parent = Self.parent
        var template = Array("\(parent)/\(Self.prefix)\(getpid())-XXXXXX".utf8CString)
        try checked("making a folder in \(parent)", unsafe mkdtemp(&template) == nil ? -errno : 0)
        let path = String(decoding: template.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        // Programs of other users are to find what they run: those of a container with user namespaces.
        unsafe chmod(path, 0o755)
        do throws(ComparisonError) {
            lock = try OwnedLock("\(path)/\(Self.lockName)")
        } catch {
            Files.remove(path)
            throw error
        }
        self.path = path
    }

    private static var parent: String { ProcessArguments.temporaryFolder.string }
    private static let lockName = "lock"

    /// Removes what comparisons left that were killed (SIGKILL, a power cut): their folders, containers and cgroups.
    ///
    /// Their other processes ended with them.
    static func removeLeftovers() {
        for name in Files.names(in: parent) where name.hasPrefix(prefix) {
            let path = "\(parent)/\(name)"
            // In a folder that everybody may write, the name alone proves nothing.
            guard Files.isOwnFolder(path), Files.isThere("\(path)/\(lockName)"),
                let lock = try? OwnedLock("\(path)/\(lockName)")
            else { continue }
            // Containers are named after the process, as the folder is: martlet-compare-PID-…
            let owner = name.split(separator: "-").prefix(3).joined(separator: "-") + "-"
            CGroup.remove(named: owner)
            Files.remove(path)
            withExtendedLifetime(lock) {}
        }
    }

    static let prefix = "martlet-compare-"

    /// Indicates whether a sync of a file in it reaches no disk.
    var isInMemory: Bool { unsafe ccompare_is_in_memory(path) == 1 }

    deinit {
        Files.remove(path)
    }
}

/// A file that is locked for as long as this value lives (flock).
private final class OwnedLock {
    private let descriptor: CInt

    /// - Throws: `ComparisonError.system`, also when somebody else holds it.
    init(_ path: String) throws(ComparisonError) {
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        try checked("opening \(path)", descriptor < 0 ? -errno : 0)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let error = errno
            close(descriptor)
            throw .system(operation: "locking \(path)", errno: Errno(rawValue: error))
        }
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }
}
