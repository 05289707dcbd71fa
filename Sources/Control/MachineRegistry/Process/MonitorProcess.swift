// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Host
package import SystemPackage

/// Starts the program that is a machine's process.
package enum MonitorProcess {
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

    /// Behind the standard ones, the socket, the lock and the folder.
    private static let firstInherited = 6

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
    ///   - hold: The locks of the folder, which are handed on.
    ///   - source: May name a configuration file, and descriptors to be handed on.
    ///   - isRemovedAtEnd: Whether the process removes the folder as its last act.
    /// - Returns: The process.
    /// - Throws: `RegistryError` where it cannot be started.
    static func start(
        in folder: MachineFolder,
        holding hold: MachineFolder.Hold,
        _ source: MachineSource,
        isRemovedAtEnd: Bool
    ) throws(RegistryError) -> RunningProcess {
        let program = try program()
        let socket: UnixSocket
        do throws(UnixSocketError) {
            socket = try UnixSocket.listen(at: folder.path(.apiSocket))
        } catch {
            throw RegistryError("\(error)")
        }
        var launch = ProcessLaunch(
            program,
            arguments: [
                "--listen-fd", "3", "--api-sock", folder.path(.apiSocket).string, "--id", folder.name.text,
                "--no-console", "--console-log", folder.path(.consoleLog).string, "--result-file",
                folder.path(.result).string, "--end-when-unused", "--lock-fd", "4", "--machine-folder",
                folder.path.string,
            ]
        )
        if isRemovedAtEnd { launch.arguments.append("--remove-at-end") }
        if let file = source.file { launch.arguments += ["--config-file", file.string, "--no-start"] }
        launch.startsSession = true
        do throws(Errno) {
            let log = try OwnedDescriptor(
                opening: folder.path(.monitorLog),
                O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW
            )
            // Its messages are needed most where there is no room.
            let result = chost_reserve(log.rawValue, 16 << 10)
            if result == -ENOSPC { throw Errno.noSpace }
            // All that the monitor has: a lock or a pipe of the caller's would be held for as long as the machine lives.
            launch.descriptors = [
                nil, log.borrowed, log.borrowed, socket.descriptor, hold.lock.descriptor, hold.folder.descriptor,
            ]
            launch.descriptors += source.inherited
            return try launch.start()
        } catch {
            throw RegistryError("cannot start \(program): \(error)")
        }
    }
}
