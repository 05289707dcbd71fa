// SPDX-License-Identifier: Apache-2.0

import Glibc
import JSON
import Machine
import SystemPackage

/// Starts machines that have a process of their own.
package struct MachineLauncher {
    private let runtime: RuntimeFolder

    package init(in runtime: RuntimeFolder) {
        self.runtime = runtime
    }

    /// Starts a machine and returns when its guest runs.
    ///
    /// - Parameters:
    ///   - name: What it is called; `nil` for a name that is free.
    ///   - source: What it is made of.
    ///   - prepare: Called when the machine is configured and about to start: the time to attach to its console, from
    ///     its first byte on.
    /// - Returns: The machine's folder.
    /// - Throws: `RegistryError`; nothing is left of the machine then.
    package func launch(
        _ name: MachineName?,
        _ source: MachineSource,
        prepare: (MachineClient) throws(RegistryError) -> Void = { _ in }
    ) throws(RegistryError) -> MachineFolder {
        let requests = try source.requests()
        try runtime.sweep()
        let (folder, process) = try begin(name, source)
        do throws(RegistryError) {
            let client = MachineClient(folder)
            for request in requests { try client.request("PUT", request.path, request.body) }
            try save(try client.request("GET", "/vm/config"), in: folder)
            try prepare(client)
            try client.request("PUT", "/actions", ["action_type": "InstanceStart"])
        } catch {
            kill(process, SIGKILL)
            var status: CInt = 0
            while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
            let words = String(decoding: folder.contents(of: folder.monitorLog) ?? [], as: UTF8.self)
            try? folder.remove()
            throw words.isEmpty ? error : RegistryError("\(error)\n\(words)")
        }
        return folder
    }

    /// Makes a machine's folder and starts its process, which alone has the lock then: if it dies, that shows.
    private func begin(_ name: MachineName?, _ source: MachineSource) throws(RegistryError) -> (MachineFolder, pid_t) {
        let (folder, lock) = try create(name)
        do throws(RegistryError) {
            return (folder, try MonitorProcess.start(in: folder, holding: lock, source))
        } catch {
            lock.release()
            try? folder.remove()
            throw error
        }
    }

    private func create(_ name: MachineName?) throws(RegistryError) -> (MachineFolder, FolderLock) {
        if let name { return try MachineFolder.create(name, in: runtime) }
        var attempts = 0
        while true {
            attempts += 1
            do throws(RegistryError) {
                return try MachineFolder.create(.random(), in: runtime)
            } catch {
                guard attempts < 100 else { throw error }
            }
        }
    }

    /// What the machine is made of, for when it can no longer be asked.
    private func save(_ configuration: JSONValue, in folder: MachineFolder) throws(RegistryError) {
        do {
            let file = try FileDescriptor.open(
                folder.configuration,
                .writeOnly,
                options: [.create, .truncate, .closeOnExec, .noFollow],
                permissions: .ownerReadWrite
            )
            try file.closeAfter { _ = try file.writeAll((configuration.prettyText + "\n").utf8) }
        } catch {
            throw RegistryError("cannot write \(folder.configuration): \(error)")
        }
    }
}
