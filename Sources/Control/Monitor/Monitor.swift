// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestAgent
import Host
import Machine
import MachineAPI
import MachineModel
import MachineProcess
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

    private static func run(_ options: MonitorOptions) throws -> UInt8 {
        var process = MachineProcess()
        process.settings = options.settings
        process.isRemovedAtEnd = options.isRemovedAtEnd
        if let lock = options.lockDescriptor, let folder = options.machineFolder {
            process.tenure = try MachineTenure(lock: lock, folder: folder)
        }
        process.resultFile = try options.resultFile.map { try ResultFile(path: $0) }
        if let file = options.program.flatMap({ process.settings.descriptors.removeValue(forKey: $0) }) {
            process.settings.program = try MachineProgram(adopting: OwnedDescriptor(adopting: file))
            process.settings.sandbox.keptDescriptors.append(file)
        }
        return try process.run(
            options.configurationFile.map { path in
                .boot(try MachineConfiguration(file: path, dialect: options.settings.dialect))
            }
        )
    }
}
