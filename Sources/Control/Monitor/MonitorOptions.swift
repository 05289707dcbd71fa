// SPDX-License-Identifier: Apache-2.0

import Console
import Glibc
import Host
import Machine
import MachineAPI
import MachineModel
import MachineSession
import SystemPackage

/// The command line of a monitor: Firecracker's, as far as it makes sense here, and what `martlet run` hands on.
///
/// Read by hand, because a parser library would be a third of the process's memory.
struct MonitorOptions {
    var settings = SessionSettings()
    var configurationFile: FilePath?
    var resultFile: FilePath?
    /// The lock of the machine's folder, inherited.
    var lockDescriptor: CInt?
    var machineFolder: FilePath?
    /// The descriptor that the description of the machine's program is read from, by its name among the session's.
    var program: String?
    /// Indicates whether the folder goes with the process.
    var isRemovedAtEnd = false

    /// A task other than a monitor's.
    enum Request: Error {
        case help
        case version
        case snapshotVersion
        /// The version of a snapshot's state file.
        case describedSnapshot(String)
        case wrongUsage(String)
        case wrongLevel(String)
    }

    init(_ arguments: [String], _ dialect: APIDialect = .ofThisProcess) throws(Request) {
        settings.dialect = dialect
        settings.apiSocket = "/run/firecracker.socket"
        settings.audience = .log
        var rest = arguments[...]
        var hasNoAPI = false
        var opened: [FilePath] = []
        // Firecracker's log tells everything of interest, wherever it goes.
        var logger = dialect == .firecracker ? LoggerSettings() : nil
        var (start, processorStart, parentProcessor): (UInt64?, UInt64?, UInt64?)
        // Firecracker takes each option once, and no value that looks like an option or follows `=`.
        let isStrict = dialect == .firecracker
        var given: Set<String> = []
        while let argument = rest.popFirst() {
            let splits = isStrict ? 0 : 1
            let parts = argument.split(separator: "=", maxSplits: splits, omittingEmptySubsequences: false).map(
                String.init
            )
            let name = parts[0]
            func value() throws(Request) -> String {
                if parts.count > 1 { return parts[1] }
                guard let value = rest.popFirst(), !isStrict || !value.hasPrefix("--") else {
                    throw .wrongUsage("\(name) needs a value")
                }
                return value
            }
            func number() throws(Request) -> UInt64 {
                let text = try value()
                guard let number = UInt64(text) else { throw .wrongUsage("\(name) is a number, not '\(text)'") }
                return number
            }
            // This program ignores all that follows.
            if argument == "--" { break }
            guard given.insert(name).inserted || !isStrict else { throw .wrongUsage("\(name) is given twice") }
            switch name {
            case "--api-sock": settings.apiSocket = FilePath(hostText: try value())
            case "--id": settings.identifier = try value()
            case "--config-file": configurationFile = FilePath(hostText: try value())
            case "--no-api": hasNoAPI = true
            case "--log-path": logger[settings: \.path] = try value()
            case "--level":
                let name = try value()
                guard let level = LoggerSettings.Level(named: name) else { throw .wrongLevel(name) }
                logger[settings: \.level] = level
            case "--module": logger[settings: \.module] = try value()
            case "--show-level": logger[settings: \.showsLevel] = true
            case "--show-log-origin": logger[settings: \.showsOrigin] = true
            case "--metrics-path": settings.metrics = MetricsSettings(path: try value())
            case "--no-seccomp": settings.sandbox.filtersCalls = false
            case "--seccomp-filter": settings.sandbox.filterFile = FilePath(hostText: try value())
            case "--sandbox":
                let text = try value()
                guard let mode = Sandbox.Mode(rawValue: text) else {
                    throw .wrongUsage("--sandbox is on, log or off, not '\(text)'")
                }
                settings.sandbox.mode = mode
            case "--user":
                let text = try value()
                guard let user = HostUser(text) else {
                    throw .wrongUsage("--user is a user of this host, UID or UID:GID, and not root: not '\(text)'")
                }
                settings.sandbox.user = user
            case "--jail":
                // A folder that is left, of a process that was started in namespaces.
                guard getpid() == 1 else {
                    throw .wrongUsage(
                        "--jail is for `martlet run`, `run --image` and `clone`; put `martlet api` into one with Firecracker's jailer"
                    )
                }
                settings.sandbox.jail = (settings.sandbox.jail ?? []) + [FilePath(hostText: try value())]
            case "--start-time-us": start = try number()
            case "--start-time-cpu-us": processorStart = try number()
            case "--parent-cpu-time-us": parentProcessor = try number()
            case "--http-api-max-payload-size": settings.requestByteLimit = Int(clamping: try number())
            // The device that measures a guest's boot time: guests boot without it as well.
            case "--boot-timer": break
            case "--enable-pci":
                throw .wrongUsage("\(name): Martlet has no PCI, its devices are on MMIO; leave the option out")
            case "--metadata":
                settings.metadataFile = FilePath(hostText: try value())
            case "--mmds-size-limit": settings.metadataLimit = Int(clamping: try number())
            case "--listen-fd": settings.listeningDescriptor = CInt(try value())
            case "--console-log": settings.consoleLog = FilePath(hostText: try value())
            case "--result-file": resultFile = FilePath(hostText: try value())
            case "--lock-fd":
                lockDescriptor = CInt(try value())
                // The lock, and the folder behind it.
                if let lock = lockDescriptor { settings.sandbox.keptDescriptors += [lock, lock + 1] }
            case "--machine-folder":
                let folder = FilePath(hostText: try value())
                (machineFolder, opened) = (folder, opened + [folder])
            case "--allow": opened.append(try Self.folder(try value()))
            case "--remove-at-end": isRemovedAtEnd = true
            case "--path-fd":
                // `5=PATH`: a descriptor, and the path of the configuration that it stands for.
                let pair = try value().split(separator: "=", maxSplits: 1).map(String.init)
                guard pair.count == 2, let descriptor = CInt(pair[0]) else { throw .wrongUsage("--path-fd is FD=PATH") }
                settings.descriptors[pair[1]] = descriptor
            case "--save-template":
                let path = FilePath(hostText: try value())
                settings.saveTemplate(at: path)
            case "--program": program = try value()
            case "--no-console": settings.console = .none
            case "--no-start": settings.startsMachine = false
            case "--end-when-unused": settings.endsWhenUnused = true
            case "--escape":
                guard let filter = EscapeFilter(parsing: try value()) else {
                    throw .wrongUsage("--escape is ctrl-a to ctrl-z, or none")
                }
                settings.escape = filter
            case "--help", "-h": throw .help
            case "--version", "-V": throw .version
            case "--snapshot-version": throw .snapshotVersion
            case "--describe-snapshot": throw .describedSnapshot(try value())
            default: throw .wrongUsage("unknown option '\(argument)'")
            }
        }
        settings.logger = logger
        settings.startTime = StartTime(
            since: start,
            processorStart: processorStart,
            parentProcessor: parentProcessor
        )
        let jail = settings.sandbox.jail ?? []
        settings.sandbox.openedFolders += opened + jail.filter { !opened.contains($0) }
        if let machineFolder, isRemovedAtEnd || settings.endsWhenUnused {
            settings.sandbox.clearedFolders = [machineFolder.parent]
        }
        let identifier = settings.identifier
        guard !identifier.isEmpty, identifier.utf8.count <= 64, identifier.utf8.allSatisfy(Self.isIdentifierByte) else {
            throw .wrongUsage("--id has 1 to 64 letters, digits, hyphens, underscores and dots")
        }
        if hasNoAPI {
            guard configurationFile != nil else { throw .wrongUsage("--no-api needs --config-file") }
            settings.apiSocket = nil
        }
    }

    private static func folder(_ text: String) throws(Request) -> FilePath {
        let path = FilePath(hostText: text)
        guard path.isFolder else { throw .wrongUsage("--allow is a folder, and '\(text)' is none") }
        return path.absolute
    }

    private static func isIdentifierByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
        default: false
        }
    }
}

extension LoggerSettings? {
    /// A setting of the log; with the first one that is made, there are settings.
    fileprivate subscript<Value>(settings path: WritableKeyPath<LoggerSettings, Value>) -> Value {
        get { (self ?? LoggerSettings())[keyPath: path] }
        set {
            var settings = self ?? LoggerSettings()
            settings[keyPath: path] = newValue
            self = settings
        }
    }
}
