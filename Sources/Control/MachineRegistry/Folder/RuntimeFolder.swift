// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Storage
package import SystemPackage

/// The folder of a user's machines: one place, which is nobody else's.
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
        if unsafe path.withPlatformString({ unsafe mkdir($0, 0o700) }) == 0 {
            // Whatever the umask is.
            _ = unsafe path.withPlatformString { unsafe chmod($0, 0o700) }
        } else if errno != EEXIST {
            throw RegistryError(cannot: "make \(path)", Errno(rawValue: errno))
        }
        // In a folder that everybody may write, such as /tmp, somebody else may have been first.
        guard Self.isPrivate(path) else {
            throw RegistryError(
                "\(path) is not private to you: it must belong to you and have the mode 0700 (or 0711)"
            )
        }
    }

    private static func isPrivate(_ path: FilePath) -> Bool {
        guard let status = try? path.stat(followTargetSymlink: false) else { return false }
        return status.type == .directory && status.userID.rawValue == geteuid() && status.mode.rawValue & 0o066 == 0
    }

    // MARK: - Choosing

    /// The facts on which the choice of a folder depends.
    package struct Surroundings {
        /// `$MARTLET_RUNTIME_DIR`.
        package var named: FilePath?
        /// `$XDG_RUNTIME_DIR`.
        package var session: FilePath?
        /// Indicates whether the session's folder goes when the user logs out.
        package var endsWithSession: Bool
        /// A folder that stays until the host's next start.
        package var lasting: FilePath

        package init(named: FilePath? = nil, session: FilePath?, endsWithSession: Bool, lasting: FilePath) {
            (self.named, self.session) = (named, session)
            (self.endsWithSession, self.lasting) = (endsWithSession, lasting)
        }

        /// The variables of this process.
        package static var current: Surroundings {
            let user = geteuid()
            let session = environment("XDG_RUNTIME_DIR")
            let isRoot = user == 0 && FilePath("/run").allows(W_OK)
            return Surroundings(
                named: environment(environmentVariable),
                session: session,
                // systemd-logind's, which removes it at the last logout of a user who does not linger.
                endsWithSession: session == FilePath("/run/user/\(user)") && !lingers(user),
                lasting: isRoot ? "/run/martlet" : FilePath("/tmp/martlet-\(user)")
            )
        }

        private static func environment(_ name: String) -> FilePath? {
            ProcessArguments.environment(name).map { FilePath(hostText: $0) }
        }

        private static func lingers(_ user: uid_t) -> Bool {
            guard let entry = unsafe getpwuid(user) else { return false }
            return unsafe FilePath("/var/lib/systemd/linger/\(String(cString: entry.pointee.pw_name))").exists
        }
    }

    /// The folder of this user: `$MARTLET_RUNTIME_DIR`; else the one of `$XDG_RUNTIME_DIR/martlet` and `/run/martlet` (root)
    /// or `/tmp/martlet-UID` that has machines; else the first one that outlasts the session.
    ///
    /// - Parameters:
    ///   - surroundings: The environment to choose from.
    ///   - note: Called with a message about a preferred folder that cannot be used.
    /// - Returns: The folder, which is there.
    /// - Throws: `RegistryError` where none can be used.
    package static func standard(
        _ surroundings: Surroundings = .current,
        note: (String) -> Void = { _ in }
    ) throws(RegistryError) -> RuntimeFolder {
        if let named = surroundings.named { return try RuntimeFolder(path: named) }
        var candidates = [surroundings.lasting]
        if let session = surroundings.session {
            if isPrivate(session) {
                candidates.insert(session.appending("martlet"), at: surroundings.endsWithSession ? 1 : 0)
            } else {
                note("XDG_RUNTIME_DIR is not used: \(session) is not private to you")
            }
        }
        for path in candidates where isPrivate(path) {
            let folder = try RuntimeFolder(path: path)
            if try !folder.machines().isEmpty { return folder }
        }
        for path in candidates.dropLast() {
            if let folder = try? RuntimeFolder(path: path) { return folder }
        }
        return try RuntimeFolder(path: candidates[candidates.count - 1])
    }

    // MARK: - Machines

    /// The machines, those that have ended among them, by name.
    package func machines() throws(RegistryError) -> [MachineFolder] {
        try names().compactMap(MachineName.init).sorted().map { MachineFolder(name: $0, in: path) }
    }

    package func machine(_ name: MachineName) throws(RegistryError) -> MachineFolder {
        let folder = MachineFolder(name: name, in: path)
        guard folder.isThere else {
            throw RegistryError("there is no machine '\(name)'; `martlet ps --all` lists them")
        }
        return folder
    }

    // MARK: - Folders on their way

    /// Has no command sweep as long as the result lives.
    func keepSweepersAway() throws(RegistryError) -> OpenFolder {
        let folder = try openSelf()
        // Many may make machines at once; a sweeper is done in moments.
        folder.descriptor.waitForLock(shared: true)
        return folder
    }

    /// Removes what commands that were killed left on its way, and machines that were to go at their end and could not.
    package func sweep() throws(RegistryError) {
        let folder = try openSelf()
        // No other process makes a folder now; if one does, another sweep will come.
        guard flock(folder.descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 else { return }
        for name in try names() {
            if name.hasPrefix(".new-") || name.hasPrefix(".old-") {
                removeHidden(path.appending(name))
            } else if let machine = MachineName(name).map({ MachineFolder(name: $0, in: path) }),
                let open = try? machine.open(), open.isRemovedAtEnd, !open.isAlive
            {
                try? machine.remove(until: .after(.zero))
            }
        }
    }

    private func removeHidden(_ path: FilePath) {
        // A monitor that is about to remove itself.
        if let folder = try? OpenFolder(path), let lock = try? folder.open(MachineFolder.Item.lock.rawValue, O_RDWR),
            FolderLock(adopting: lock).isTaken
        {
            return
        }
        MachineFolder.removeAll(path)
    }

    private func openSelf() throws(RegistryError) -> OpenFolder {
        do throws(FileFault) {
            return try OpenFolder(path)
        } catch {
            throw RegistryError("\(path) \(error)")
        }
    }

    private func names() throws(RegistryError) -> [String] {
        do throws(Errno) {
            return try FolderListing.names(in: path.hostText)
        } catch {
            throw RegistryError("cannot read \(path): \(error)")
        }
    }
}
