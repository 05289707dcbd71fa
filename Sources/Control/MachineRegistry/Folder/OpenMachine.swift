// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Host
package import JSON
package import MachineAPI
import SystemPackage

/// A machine as its folder shows it; its end and its result are seen even if the folder is removed meanwhile.
package final class OpenMachine {
    package let folder: MachineFolder
    /// `nil` where there is none that is a file: nothing like a machine that lives then.
    let lock: FolderLock?
    private let files: OpenFolder
    private let resultFile: ResultFile

    init(_ folder: MachineFolder, _ files: OpenFolder) {
        (self.folder, self.files) = (folder, files)
        func file(_ item: MachineFolder.Item, _ flags: CInt) -> OwnedDescriptor? {
            do throws(FileFault) {
                return try files.open(item.rawValue, flags)
            } catch {
                return nil
            }
        }
        lock = if let lock = file(.lock, O_RDWR) { FolderLock(adopting: lock) } else { nil }
        resultFile = ResultFile(descriptor: file(.result, O_RDONLY))
    }

    /// A file that need not be there.
    private struct ResultFile: ~Copyable {
        let descriptor: OwnedDescriptor?

        borrowing func contents(limit: Int) -> [UInt8]? {
            switch descriptor {
            case .some(let file): try? OpenFolder.contents(of: file, limit: limit)
            case .none: nil
            }
        }
    }

    // MARK: - The monitor's life

    /// Indicates whether the monitor lives.
    package var isAlive: Bool {
        // A lock that was deleted says nothing; the monitor holds the folder, too.
        lock?.isTaken ?? files.isHeld
    }

    /// Waits for the monitor's end.
    package func waitUntilDead(until limit: TimeLimit) -> Bool {
        while isAlive {
            guard !limit.hasPassed else { return false }
            // Wakes at its end; the lock is what counts.
            if let process = monitorProcess() { _ = process.waitUntilEnded(timeout: limit.left) }
            usleep(5000)
        }
        return true
    }

    /// The monitor's process, proven to be it: the kernel says that the process holds the lock after it was opened.
    ///
    /// - Returns: `nil` where there is no proof.
    private func monitorProcess() -> RunningProcess? {
        guard let lock, case .process(let id) = lock.owner, let process = try? RunningProcess(id: id) else {
            return nil
        }
        return lock.owner == .process(id) ? process : nil
    }

    /// The id of the monitor's process, as the kernel knows it in this PID namespace.
    package var processID: Int32? {
        if case .process(let id)? = lock?.owner { id } else { nil }
    }

    /// Returns whether a process other than a monitor holds the lock, for longer than a monitor takes to start.
    package func isHeldByStranger(patience: Duration = .seconds(2)) -> Bool {
        let limit = TimeLimit.after(patience)
        while isAlive, lock?.owner ?? .nobody == .nobody {
            guard !limit.hasPassed else { return true }
            usleep(10_000)
        }
        return false
    }

    /// Ends the monitor's process, for one that does not answer any more.
    ///
    /// - Throws: `RegistryError` where it is not certain which process that is, or the host does not end it.
    package func killProcess(until limit: TimeLimit) throws(RegistryError) {
        while isAlive {
            if let process = monitorProcess() {
                try? process.send(SIGKILL)
                // However short the wait for its answer was: on a busy host its death takes a moment too.
                guard waitUntilDead(until: .after(.seconds(10))) else {
                    throw RegistryError("machine '\(folder.name)' cannot be ended: the host holds its process")
                }
                return
            }
            guard !limit.hasPassed else {
                throw RegistryError(
                    """
                    machine '\(folder.name)' does not answer, and it cannot be proven which process holds \
                    \(folder.path(.lock)): end that process by hand
                    """
                )
            }
            usleep(10_000)
        }
    }

    // MARK: - Files

    /// The machine's end, once its monitor has ended.
    ///
    /// - Throws: `RegistryError` where the monitor left no result: it was killed.
    package func result() throws(RegistryError) -> MachineResult {
        guard let bytes = resultFile.contents(limit: 1 << 20), bytes.first != 0,
            let value = try? JSONValue(parsing: bytes)
        else {
            throw RegistryError("the process of machine '\(folder.name)' died, see \(folder.path(.monitorLog))")
        }
        return try MachineResult(read: value)
    }

    /// A JSON file of the folder; null where there is none.
    package func value(of item: MachineFolder.Item, report: (String) -> Void = { _ in }) -> JSONValue {
        guard let bytes = contents(of: item, report: report), bytes.first ?? 0 != 0 else { return .null }
        do {
            return try JSONValue(parsing: bytes)
        } catch {
            report("\(folder.path(item)) is not JSON: \(error)")
            return .null
        }
    }

    /// The bytes of a file of the folder, at most 1 MiB; `nil` where there is none.
    package func contents(of item: MachineFolder.Item, report: (String) -> Void = { _ in }) -> [UInt8]? {
        do throws(FileFault) {
            return try files.contents(of: item.rawValue)
        } catch {
            if error != .missing { report("\(folder.path(item)) \(error)") }
            return nil
        }
    }

    /// Examines a regular file of the folder; `nil` where there is none.
    func status(of item: MachineFolder.Item) -> Stat? {
        guard let file = try? files.open(item.rawValue) else { return nil }
        return try? file.borrowed.stat()
    }

    /// Releases the space that a log has reserved and not used.
    func releaseReserve(of item: MachineFolder.Item) {
        guard let file = try? files.open(item.rawValue, O_WRONLY), let status = try? file.borrowed.stat(),
            status.sizeAllocated > status.size + 8192
        else { return }
        _ = ftruncate(file.rawValue, off_t(status.size))
    }

    /// Opens a file of the folder for reading.
    ///
    /// - Returns: `nil` where it does not exist.
    /// - Throws: `RegistryError` where it is not a regular file, or cannot be read.
    package func openFile(_ item: MachineFolder.Item) throws(RegistryError) -> OwnedDescriptor? {
        do throws(FileFault) {
            return try files.open(item.rawValue)
        } catch {
            guard error != .missing else { return nil }
            throw RegistryError("\(folder.path(item)) \(error)")
        }
    }

    /// Indicates whether the folder goes when the machine has ended.
    var isRemovedAtEnd: Bool {
        (try? files.open(MachineFolder.Item.removal.rawValue)) != nil
    }
}

extension MachineResult {
    /// Reads the end of a machine from a monitor's answer or file.
    ///
    /// - Throws: `RegistryError` where it is not a result.
    init(read value: JSONValue) throws(RegistryError) {
        do throws(JSONError) {
            self = try value.decode()
        } catch {
            throw RegistryError("cannot tell how the machine ended: \(error)")
        }
    }
}
