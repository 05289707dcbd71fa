// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestAgent
import Host
import Machine
import MachineAPI
import MachineModel
import MachineRegistry
import MachineSession
import Snapshot
import SystemPackage

/// The process of one machine, with the minimum to run and control it.
@main
enum Monitor {
    static func main() {
        do {
            try ProcessStart.prepare()
            end(CInt(try run(MonitorOptions(ProcessArguments.all))))
        } catch MonitorOptions.Request.help {
            print(MonitorOptions.help)
        } catch MonitorOptions.Request.version {
            print(MonitorOptions.version)
        } catch MonitorOptions.Request.snapshotVersion {
            print("v\(SnapshotVersion.current)")
        } catch MonitorOptions.Request.describedSnapshot(let path) {
            describe(FilePath(hostText: path))
        } catch MonitorOptions.Request.wrongUsage(let problem) {
            Messages.write("\(problem); --help lists all options")
            end(APIDialect.ofThisProcess == .firecracker ? 153 : 64)
        } catch MonitorOptions.Request.wrongLevel(let level) {
            Messages.write("--level is Off, Error, Warning, Info, Debug or Trace, not '\(level)'")
            end(APIDialect.ofThisProcess == .firecracker ? 152 : 64)
        } catch {
            Messages.write("\(error)")
            end(1)
        }
    }

    private static func describe(_ state: FilePath) {
        do {
            print("v\(try StateFile.version(of: state))")
        } catch {
            Messages.write("\(error)")
            end(1)
        }
    }

    private static func end(_ status: CInt) -> Never {
        Messages.flush()
        exit(status)
    }

    /// - Returns: The exit status.
    private static func run(_ options: MonitorOptions) throws -> UInt8 {
        // Before all else: a thread makes the machine meanwhile. An error waits for the log.
        let restored = options.snapshot.map { path in
            Result { () throws(SnapshotError) in try restore(path, options) }
        }
        let tenure: MachineTenure? =
            if let lock = options.lockDescriptor, let folder = options.machineFolder {
                try MachineTenure(lock: lock, folder: folder)
            } else { nil }
        let resultFile = try options.resultFile.map { try ResultFile(path: $0) }
        var settings = options.settings
        if let file = options.program.flatMap({ settings.descriptors.removeValue(forKey: $0) }) {
            settings.program = try MachineProgram(adopting: OwnedDescriptor(adopting: file))
            settings.sandbox.keptDescriptors.append(file)
        }
        let isConfined = settings.sandbox.isConfined
        let session = MachineSession(
            settings,
            onEnd: { result in
                do throws(Errno) {
                    try resultFile?.write(result)
                } catch {
                    Messages.write("error: the machine's end cannot be written to its result file: \(error)")
                }
            },
            onExit: { result in
                // The clients have their answers by now, or hold the files that they want to read. Of a machine that never was,
                // because the command that wanted it is gone, nothing stays.
                let isAbandoned = result == nil && options.settings.endsWhenUnused
                guard options.isRemovedAtEnd || isAbandoned else { return }
                // The next command sweeps it away where this process may not.
                if isConfined { try? tenure?.removeFolder() } else { try tenure?.removeFolder() }
            }
        )
        return try withExtendedLifetime(tenure) {
            try session.run(
                restored.map { try start($0.get(), options, session) }
                    ?? options.configurationFile.map { path in
                        .boot(try MachineConfiguration(file: path, dialect: options.settings.dialect))
                    }
            )
        }
    }

    private static func restore(
        _ path: FilePath,
        _ options: MonitorOptions
    ) throws(SnapshotError) -> (snapshot: MachineSnapshot, wishes: RestoreOptions) {
        ProcessStart.populateData()
        let headStart = HeadStart(for: SnapshotPlace(folder: path))
        let snapshot = try MachineSnapshot(path)
        var wishes = RestoreOptions()
        (wishes.keepsIdentity, wishes.headStart) = (options.keepsIdentity, headStart)
        if snapshot.machine.configuration.vsock != nil, let folder = options.machineFolder {
            wishes.vsockPath = MachineFolder.path(.vsock, in: folder)
        }
        headStart.restore(snapshot, wishes)
        return (snapshot, wishes)
    }

    private static func start(
        _ restored: (snapshot: MachineSnapshot, wishes: RestoreOptions),
        _ options: MonitorOptions,
        _ session: MachineSession
    ) -> MachineStart {
        if let folder = options.machineFolder {
            let description = restored.snapshot.description(restored.wishes)
            // Beside the start, when the processor of the head start is free, and before the first request, the answer to which is
            // the end of the command that waits.
            session.beforeRequests {
                restored.wishes.headStart?.wait()
                do throws(RegistryError) {
                    try MachineFolder.save(description, in: folder)
                } catch {
                    Messages.write("\(error)")
                    end(1)
                }
            }
        }
        return .restore(restored.snapshot, restored.wishes)
    }
}
