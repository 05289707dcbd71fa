// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import HTTP
import Host
package import SystemPackage

/// Starts the program that is a machine's process.
package struct MonitorProcess {
    /// `martlet-monitor`, beside this program or where it is installed.
    ///
    /// - Throws: `RegistryError` where it is not there.
    package static func program() throws(RegistryError) -> FilePath {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let own = FilePath(String(decoding: buffer.prefix(max(0, count)).map(UInt8.init(bitPattern:)), as: UTF8.self))
        let folder = own.removingLastComponent()
        let places = [
            folder.appending("martlet-monitor"),
            folder.removingLastComponent().appending("libexec").appending("martlet").appending("martlet-monitor"),
        ]
        for place in places where unsafe place.withPlatformString({ unsafe access($0, X_OK) == 0 }) { return place }
        throw RegistryError("cannot find martlet-monitor: it belongs beside \(own), `make build` builds it")
    }

    /// The path under which a monitor finds a descriptor that it inherited.
    ///
    /// - Parameter index: Its place among them.
    /// - Returns: A path of the monitor's process only.
    package static func path(ofInherited index: Int) -> FilePath {
        FilePath("/proc/self/fd/\(firstInherited + index)")
    }

    /// Behind the standard ones, the socket and the lock.
    private static let firstInherited = 5

    /// Becomes a monitor.
    ///
    /// - Parameter arguments: The monitor's.
    /// - Returns: Why it did not; it does not return else.
    /// - Throws: `RegistryError` where there is no monitor.
    package static func replaceThisProcess(_ arguments: [String]) throws(RegistryError) -> RegistryError {
        let program = try program()
        var pointers = unsafe ([program.string] + arguments).map { unsafe strdup($0) } + [nil]
        ProcessStart.undo()
        unsafe execv(program.string, &pointers)
        let error = Errno(rawValue: errno)
        for index in unsafe pointers.indices { unsafe free(pointers[index]) }
        return RegistryError("cannot start \(program): \(error)")
    }

    /// Starts a monitor for a machine that is still to be configured, as the leader of a session of its own.
    ///
    /// It ends by itself when its last client leaves before the machine was started.
    ///
    /// - Parameters:
    ///   - folder: The machine's.
    ///   - lock: Its lock, which is handed on.
    ///   - source: May name a configuration file, and descriptors to be handed on.
    /// - Returns: The process id.
    /// - Throws: `RegistryError` where it cannot be started.
    static func start(
        in folder: MachineFolder,
        holding lock: FolderLock,
        _ source: MachineSource
    ) throws(RegistryError) -> pid_t {
        let program = try program()
        let socket: UnixSocket
        do throws(UnixSocketError) {
            socket = try UnixSocket.listen(at: folder.apiSocket)
        } catch {
            throw RegistryError("\(error)")
        }
        var arguments = [
            program.string, "--listen-fd", "3", "--api-sock", folder.apiSocket.string, "--id", folder.name.text,
            "--no-console", "--console-log", folder.consoleLog.string, "--result-file", folder.result.string,
            "--end-when-unused",
        ]
        if let file = source.file { arguments += ["--config-file", file.string, "--no-start"] }
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        // Moved out of the way first: a source must not be one of the targets.
        let sources = [socket.descriptor, lock.descriptor] + source.inherited
        var copies: [OwnedCopy] = []
        for source in sources { copies.append(try OwnedCopy(of: source)) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        let logFlags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW
        unsafe posix_spawn_file_actions_addopen(&actions, 1, folder.monitorLog.string, logFlags, 0o600)
        unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
        for (index, copy) in copies.enumerated() {
            unsafe posix_spawn_file_actions_adddup2(&actions, copy.owned.rawValue, CInt(3 + index))
        }
        // Nothing else of this process: a lock or a pipe of its caller would be held for as long as the machine lives.
        _ = unsafe chost_spawn_close_from(&actions, CInt(3 + copies.count))
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        let setSession: CInt = 0x80  // POSIX_SPAWN_SETSID, which glibc has behind _GNU_SOURCE only
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | setSession))
        var identifier: pid_t = 0
        var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
        let error = unsafe posix_spawn(&identifier, program.string, &actions, &attributes, &pointers, environ)
        guard error == 0 else { throw RegistryError("cannot start \(program): \(Errno(rawValue: error))") }
        return identifier
    }

    /// A copy of a descriptor beyond those that the monitor gets.
    private final class OwnedCopy {
        let owned: OwnedDescriptor

        init(of descriptor: FileDescriptor) throws(RegistryError) {
            do throws(Errno) {
                owned = try OwnedDescriptor(duplicating: descriptor, atLeast: 100)
            } catch {
                throw RegistryError("no descriptor is left: \(error)")
            }
        }
    }
}
