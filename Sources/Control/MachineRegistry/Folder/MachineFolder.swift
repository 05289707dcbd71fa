// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// The folder of one machine: its socket, its lock, what it said and how it ended.
///
/// The monitor holds the lock for as long as it lives, however it ends: so nobody need trust a process id.
package struct MachineFolder: Hashable, Sendable {
    package let name: MachineName
    package let path: FilePath
    private let folder: RuntimeFolder

    init(name: MachineName, in folder: RuntimeFolder) {
        self.name = name
        self.folder = folder
        path = folder.path.appending(name.text)
    }

    package var apiSocket: FilePath { path.appending("api.sock") }
    /// What the guest sent to its console; what was before is in `console.log.1`.
    package var consoleLog: FilePath { path.appending("console.log") }
    package var olderConsoleLog: FilePath { path.appending("console.log.1") }
    /// The monitor's own words.
    package var monitorLog: FilePath { path.appending("monitor.log") }
    package var configuration: FilePath { path.appending("config.json") }
    /// How the machine ended.
    package var result: FilePath { path.appending("result.json") }
    fileprivate var lock: FilePath { path.appending("lock") }

    /// Whether there is such a machine, be it one that has ended.
    package var isThere: Bool {
        unsafe lock.withPlatformString { unsafe access($0, F_OK) == 0 }
    }

    /// Whether its monitor lives.
    package var isAlive: Bool {
        (try? FolderLock(opening: lock))?.isTaken ?? false
    }

    /// Waits for the monitor's end, when it must come.
    ///
    /// - Parameter duration: How long.
    /// - Returns: Whether it came.
    package func waitUntilDead(within duration: Duration = .seconds(30)) -> Bool {
        let deadline = ContinuousClock.now + duration
        while isAlive {
            guard ContinuousClock.now < deadline else { return false }
            usleep(10_000)
        }
        return true
    }

    // MARK: - Life

    /// Makes the folder of a new machine, and takes its lock.
    ///
    /// - Parameters:
    ///   - name: The machine's name.
    ///   - folder: Where machines are.
    /// - Returns: The folder and its lock, to be handed to the monitor.
    /// - Throws: `RegistryError` where there is such a machine already.
    package static func create(
        _ name: MachineName,
        in folder: RuntimeFolder
    ) throws(RegistryError) -> (MachineFolder, FolderLock) {
        let machine = MachineFolder(name: name, in: folder)
        // Made under another name and then moved: a folder that has a name has a lock that is taken.
        let draft = folder.hiddenPath("new")
        guard unsafe draft.withPlatformString({ unsafe mkdir($0, 0o700) }) == 0 else {
            throw RegistryError("cannot make \(draft): \(Errno(rawValue: errno))")
        }
        let lock: FolderLock
        do throws(Errno) {
            lock = try FolderLock(creating: draft.appending("lock"))
        } catch {
            removeAll(draft)
            throw RegistryError("cannot make a lock in \(draft): \(error)")
        }
        _ = lock.take()
        // Fails where there is a folder that is not empty, and there is none that is.
        let result = unsafe draft.withPlatformString { from in
            unsafe machine.path.withPlatformString { unsafe rename(from, $0) }
        }
        guard result == 0 else {
            let error = errno
            removeAll(draft)
            guard error == EEXIST || error == ENOTEMPTY else {
                throw RegistryError("cannot make \(machine.path): \(Errno(rawValue: error))")
            }
            throw RegistryError(
                machine.isAlive
                    ? "there is a machine '\(name)' already"
                    : "there is a machine '\(name)' already, which has ended: `martlet rm \(name)` removes it"
            )
        }
        return (machine, lock)
    }

    /// Removes the folder of a machine whose monitor does not live; one that is gone already needs no more.
    ///
    /// - Throws: `RegistryError` where it does.
    package func remove() throws(RegistryError) {
        guard let lock = try? FolderLock(opening: lock) else { return }
        guard !lock.isTaken else { throw RegistryError("machine '\(name)' runs: stop it first, or use --force") }
        guard lock.takeForRemoval(at: self.lock) else { return }
        // Under the lock, and under another name first: who looks now sees no half of it.
        let grave = folder.hiddenPath("old")
        let result = unsafe path.withPlatformString { from in
            unsafe grave.withPlatformString { unsafe rename(from, $0) }
        }
        guard result == 0 else { throw RegistryError("cannot remove \(path): \(Errno(rawValue: errno))") }
        Self.removeAll(grave)
    }

    /// Removes the socket that a monitor which was killed left behind.
    package func removeStaleSocket() {
        guard let lock = try? FolderLock(opening: lock), !lock.isTaken, lock.takeForRemoval(at: self.lock) else {
            return
        }
        _ = unsafe apiSocket.withPlatformString { unsafe unlink($0) }
    }

    private static let files = [
        "api.sock", "console.log", "console.log.1", "monitor.log", "config.json", "result.json", "result.json.new",
        "lock",
    ]

    /// Removes a folder of ours: it has these files only.
    static func removeAll(_ folder: FilePath) {
        for file in files {
            _ = unsafe folder.appending(file).withPlatformString { unsafe unlink($0) }
        }
        _ = unsafe folder.withPlatformString { unsafe rmdir($0) }
    }
}
