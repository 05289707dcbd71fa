// SPDX-License-Identifier: Apache-2.0

import Console
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
    /// The machine's folder, where it has one.
    var machineFolder: FilePath?
    /// Whether the folder goes with the process.
    var isRemovedAtEnd = false

    /// What else than a monitor is wanted.
    enum Request: Error {
        case help
        case version
        case wrongUsage(String)
    }

    init(_ arguments: [String]) throws(Request) {
        settings.apiSocket = "/run/firecracker.socket"
        settings.audience = .log
        var rest = arguments[...]
        var hasNoAPI = false
        var logger = LoggerSettings()
        while let argument = rest.popFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let name = parts[0]
            func value() throws(Request) -> String {
                if parts.count > 1 { return parts[1] }
                guard let value = rest.popFirst() else { throw .wrongUsage("\(name) needs a value") }
                return value
            }
            switch name {
            case "--api-sock": settings.apiSocket = FilePath(hostText: try value())
            case "--id": settings.identifier = try value()
            case "--config-file": configurationFile = FilePath(hostText: try value())
            case "--no-api": hasNoAPI = true
            case "--log-path": logger.path = try value()
            case "--level":
                let name = try value()
                guard let level = LoggerSettings.Level(named: name) else {
                    throw .wrongUsage("--level is Off, Error, Warning, Info, Debug or Trace, not '\(name)'")
                }
                logger.level = level
            case "--module": logger.module = try value()
            case "--show-level": logger.showsLevel = true
            case "--show-log-origin": logger.showsOrigin = true
            case "--metrics-path": settings.metrics = MetricsSettings(path: try value())
            // There are no filters to turn off.
            case "--no-seccomp": break
            case "--listen-fd": settings.listeningDescriptor = CInt(try value())
            case "--console-log": settings.consoleLog = FilePath(hostText: try value())
            case "--result-file": resultFile = FilePath(hostText: try value())
            case "--lock-fd": lockDescriptor = CInt(try value())
            case "--machine-folder": machineFolder = FilePath(hostText: try value())
            case "--remove-at-end": isRemovedAtEnd = true
            case "--path-fd":
                // `5=PATH`: a descriptor, and the path of the configuration that it stands for.
                let pair = try value().split(separator: "=", maxSplits: 1).map(String.init)
                guard pair.count == 2, let descriptor = CInt(pair[0]) else { throw .wrongUsage("--path-fd is FD=PATH") }
                settings.descriptors[pair[1]] = descriptor
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
            default: throw .wrongUsage("unknown option '\(argument)'")
            }
        }
        if logger != LoggerSettings() { settings.logger = logger }
        let identifier = settings.identifier
        guard !identifier.isEmpty, identifier.utf8.count <= 64, identifier.utf8.allSatisfy(Self.isIdentifierByte) else {
            throw .wrongUsage("--id has 1 to 64 letters, digits, hyphens, underscores and dots")
        }
        if hasNoAPI {
            guard configurationFile != nil else { throw .wrongUsage("--no-api needs --config-file") }
            settings.apiSocket = nil
        }
    }

    private static func isIdentifierByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
        default: false
        }
    }

    static let help = """
        USAGE: martlet api [--api-sock PATH] [--id ID] [--config-file FILE] [--no-api] [OPTIONS]

        A process for one machine that has none yet: it is configured and started over a REST API on a Unix socket, the
        one of Firecracker (docs/api/openapi.yaml). The console is on standard input and output.

        OPTIONS
          --api-sock PATH      the socket of the API (default: /run/firecracker.socket)
          --id ID              what the machine is called (default: anonymous-instance)
          --config-file FILE   configure a machine from FILE (JSON) and start it
          --no-api             no socket; needs --config-file
          --log-path PATH      write messages to PATH, a file or named pipe, instead of standard error
          --level LEVEL        Off, Error, Warning, Info, Debug or Trace (default: Info with --log-path, else Warning)
          --module NAME        only messages of parts whose name begins with NAME
          --show-level, --show-log-origin
          --metrics-path PATH  write counters to PATH, a file or named pipe, each minute
          --escape KEY         the key before console commands: ctrl-a to ctrl-z, or none (default: none)
          --no-seccomp         accepted for Firecracker's sake: there are no filters
          --version, --help

        EXIT STATUS
          as of `martlet run`: 0 when the guest powered off, 2 after a panic, 1 for an error; a signal ends the process
          as a shell expects, with status 128 + its number
        """

    static let version = """
        Firecracker v\(APIVersion.firecracker)
        The API of Firecracker, served by \(APIVersion.name) \(APIVersion.martlet).
        """
}
