// SPDX-License-Identifier: Apache-2.0

import Glibc
import Storage
package import SystemPackage

/// Where the folders of a user's machines are: one place, which is nobody else's.
package struct RuntimeFolder: Hashable, Sendable {
    package let path: FilePath

    /// Names another folder, before all others.
    package static let environmentVariable = "MARTLET_RUNTIME_DIR"

    /// A folder that is there, or is made.
    ///
    /// - Parameter path: Its path; the folder above it is there.
    /// - Throws: `RegistryError` where it cannot be made, or others may write it.
    package init(path: FilePath) throws(RegistryError) {
        let path = path.absolute
        self.path = path
        let result = unsafe path.withPlatformString { unsafe mkdir($0, 0o700) }
        guard result == 0 || errno == EEXIST else {
            throw RegistryError("cannot make \(path): \(Errno(rawValue: errno))")
        }
        var status = stat()
        guard unsafe path.withPlatformString({ unsafe lstat($0, &status) }) == 0 else {
            throw RegistryError("cannot look at \(path): \(Errno(rawValue: errno))")
        }
        // In a folder that everybody may write, such as /tmp, somebody else may have been first.
        guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
            throw RegistryError("\(path) is not a folder of yours alone: it must belong to you and have the mode 0700")
        }
    }

    /// `$MARTLET_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/martlet`, else `/run/martlet` for root, else `/tmp/martlet-UID`.
    package static func standard() throws(RegistryError) -> RuntimeFolder {
        if let folder = environment(environmentVariable) { return try RuntimeFolder(path: FilePath(folder)) }
        if let folder = environment("XDG_RUNTIME_DIR") {
            return try RuntimeFolder(path: FilePath(folder).appending("martlet"))
        }
        if geteuid() == 0, unsafe access("/run", W_OK) == 0 { return try RuntimeFolder(path: "/run/martlet") }
        return try RuntimeFolder(path: FilePath("/tmp/martlet-\(geteuid())"))
    }

    private static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name).map({ unsafe String(cString: $0) }), !value.isEmpty else { return nil }
        return value
    }

    // MARK: - Machines

    /// The machines, those that have ended among them, by name.
    package func machines() throws(RegistryError) -> [MachineFolder] {
        try names().compactMap(MachineName.init).sorted().map { MachineFolder(name: $0, in: self) }
    }

    /// The machine with a name.
    ///
    /// - Throws: `RegistryError` where there is none.
    package func machine(_ name: MachineName) throws(RegistryError) -> MachineFolder {
        let folder = MachineFolder(name: name, in: self)
        guard folder.isThere else {
            throw RegistryError("there is no machine '\(name)'; `martlet ps --all` lists them")
        }
        return folder
    }

    // MARK: - Folders on their way

    /// A path for a folder that is no machine's yet, or no more.
    ///
    /// - Parameter purpose: What it is for.
    /// - Returns: A path that tells whose it is.
    func hiddenPath(_ purpose: String) -> FilePath {
        path.appending(".\(purpose)-\(getpid())-\(UInt32.random(in: .min ... .max))")
    }

    /// Removes what commands that were killed left on its way.
    package func sweep() throws(RegistryError) {
        for name in try names() where name.hasPrefix(".new-") || name.hasPrefix(".old-") {
            let process = name.split(separator: "-").dropFirst().first.flatMap { pid_t($0) }
            guard let process, process > 0, kill(process, 0) != 0, errno == ESRCH else { continue }
            let folder = path.appending(name)
            // A process of another namespace, or the monitor of a folder that was about to get its name.
            if let lock = try? FolderLock(opening: folder.appending("lock")), lock.isTaken { continue }
            MachineFolder.removeAll(folder)
        }
    }

    private func names() throws(RegistryError) -> [String] {
        do throws(Errno) {
            return try FolderListing.names(in: path.string)
        } catch {
            throw RegistryError("cannot read \(path): \(error)")
        }
    }
}
