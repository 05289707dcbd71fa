// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import SystemPackage

/// Starts the program that is a machine's process.
package enum MonitorProcess {
    /// `martlet-monitor`, beside this program or where it is installed.
    package static func program() throws(RegistryError) -> FilePath {
        let own = ProcessArguments.executable ?? FilePath()
        let folder = own.parent
        let places = [
            folder.appending("martlet-monitor"),
            folder.parent.appending("libexec").appending("martlet").appending("martlet-monitor"),
        ]
        for place in places where place.allows(X_OK) { return place }
        throw RegistryError("cannot find martlet-monitor: it belongs beside \(own), `make build` builds it")
    }

    /// The first descriptor after the standard ones, the socket, the lock and the folder.
    private static let firstInherited = 6

    /// Becomes a monitor.
    ///
    /// - Returns: The error; does not return on success.
    /// - Throws: `RegistryError` where there is no monitor.
    package static func replaceThisProcess(_ arguments: [String]) throws(RegistryError) -> RegistryError {
        let program = try program()
        return RegistryError("cannot start \(program): \(HostProgram.replaceThisProcess(by: program, arguments))")
    }

    /// Starts a monitor, as the leader of a session of its own.
    ///
    /// - Parameters:
    ///   - folder: The machine's.
    ///   - hold: The locks and the socket of the folder, which are handed on.
    ///   - arguments: The arguments that describe the machine.
    ///   - files: The files that are handed on, by the paths that they stand for.
    ///   - sandbox: The sandbox of the process.
    ///   - isRemovedAtEnd: Whether the process removes the folder as its last act.
    ///   - usesHostNetwork: Whether the process opens interfaces of this host's, or starts passt: from a jail as well.
    /// - Returns: The process.
    /// - Throws: `RegistryError` where it cannot be started.
    static func start(
        in folder: MachineFolder,
        holding hold: MachineFolder.Hold,
        arguments: [String],
        files: [(path: String, file: FileDescriptor)] = [],
        sandbox: Sandbox.Settings,
        isRemovedAtEnd: Bool,
        usesHostNetwork: Bool = false
    ) throws(RegistryError) -> RunningProcess {
        let program = try program()
        var launch = ProcessLaunch(
            program,
            arguments: [
                "--listen-fd", "3", "--api-sock", folder.path(.apiSocket).hostText, "--id", folder.name.text,
                "--no-console", "--console-log", folder.path(.consoleLog).hostText, "--result-file",
                folder.path(.result).hostText, "--lock-fd", "4", "--machine-folder", folder.path.hostText,
            ] + arguments
        )
        if sandbox.mode != .on { launch.arguments += ["--sandbox", sandbox.mode.rawValue] }
        if let path = sandbox.filterFile { launch.arguments += ["--seccomp-filter", path.absolute.hostText] }
        if let user = sandbox.user { launch.arguments += ["--user", user.text] }
        for path in sandbox.openedFolders { launch.arguments += ["--allow", path.hostText] }
        if let folders = sandbox.jail {
            for path in folders + [folder.path] { launch.arguments += ["--jail", path.hostText] }
            launch.jail = usesHostNetwork ? .sharingNetwork : .full
        }
        if isRemovedAtEnd { launch.arguments.append("--remove-at-end") }
        for (index, file) in files.enumerated() {
            launch.arguments += ["--path-fd", "\(firstInherited + index)=\(file.path)"]
        }
        launch.startsSession = true
        do throws(Errno) {
            let log = try folder.makeLog()
            // All that the monitor has: a lock or a pipe of the caller's would be held for as long as the machine lives.
            launch.descriptors = [
                nil, log.borrowed, log.borrowed, hold.listener.descriptor, hold.lock.descriptor, hold.folder.descriptor,
            ]
            launch.descriptors += files.map(\.file)
            return try launch.start()
        } catch {
            throw RegistryError("cannot start \(program): \(error)")
        }
    }
}
