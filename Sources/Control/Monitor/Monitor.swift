// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTP
import Host
import JSON
import Logging
import Machine
import MachineAPI
import MachineRegistry
import SystemPackage

/// The process of one machine: what it needs to run and to be directed, and nothing else.
@main
enum Monitor {
    static func main() {
        do {
            try ProcessStart.prepare()
            let status = try run(MonitorOptions(Array(CommandLine.arguments.dropFirst())))
            end(CInt(status))
        } catch MonitorOptions.Request.help {
            print(MonitorOptions.help)
        } catch MonitorOptions.Request.version {
            print(MonitorOptions.version)
        } catch MonitorOptions.Request.wrongUsage(let problem) {
            say("\(problem); --help tells of all options")
            end(64)
        } catch {
            say("\(error)")
            end(1)
        }
    }

    private static func end(_ status: CInt) -> Never {
        MessageQueue.standardError.flush(within: .seconds(1))
        exit(status)
    }

    private static func say(_ text: String) {
        MessageQueue.standardError.write(("martlet: " + printable(text, keepsLines: true) + Terminal.lineEnd).utf8)
    }

    /// - Returns: The exit status.
    private static func run(_ options: MonitorOptions) throws -> UInt8 {
        try MessageQueue.standardError.start()
        let tenure: MachineTenure? =
            if let lock = options.lockDescriptor, let folder = options.machineFolder {
                try MachineTenure(lock: lock, folder: folder)
            } else { nil }
        // All of its paths are absolute then; wherever it was started, it keeps no file system in use.
        if options.listeningDescriptor != nil { _ = unsafe chdir("/") }
        let log = MonitorLog(identifier: options.identifier)
        let consoleLog: ConsoleLog? = if let path = options.consoleLog { try ConsoleLog(path: path) } else { nil }
        let resultFile: ResultFile? = if let path = options.resultFile { try ResultFile(path: path) } else { nil }
        let console = try ConsoleHub(log: consoleLog, logger: log.logger)
        let service = MachineService(
            identifier: options.identifier,
            attachment: attachment(options),
            console: console,
            log: log,
            onEvent: { event in
                if case .command(.help) = event { say("console commands:\n" + options.escape.help) }
            },
            onEnd: { outcome in
                do throws(Errno) {
                    try resultFile?.write(outcome)
                } catch {
                    log.logger.error("the machine's end cannot be written to its result file: \(error)")
                }
            }
        )
        try service.configure(logger: options.logger, metricsPath: options.metricsPath)
        try SignalWatch([SIGINT, SIGTERM, SIGHUP, SIGQUIT]) { _ in service.stop() }
        // Before the API: Firecracker's machines run when the socket is there.
        if let file = options.configurationFile {
            try service.configure(file: file)
            if options.startsMachine { try service.start() }
        }
        if options.usesStandardConsole, Terminal.isTerminal(.standardInput) {
            try Terminal.enterRawMode(.standardInput)
        }
        defer { Terminal.restore() }
        let socket = try socket(options)
        let server = try socket.map { try makeServer($0, service, options) }
        try server?.start()
        let outcome = service.waitUntilEnded()
        socket?.removeFile()
        server?.stop()
        // The clients have their answers by now, or hold the files that they want to read.
        if options.isRemovedAtEnd { try tenure?.removeFolder() }
        return outcome?.exitStatus ?? 0
    }

    private static func attachment(_ options: MonitorOptions) -> ConsoleAttachment {
        guard options.usesStandardConsole else { return ConsoleAttachment() }
        var attachment = ConsoleAttachment(output: .standardOutput, input: .standardInput)
        attachment.filter = options.escape
        return attachment
    }

    private static func socket(_ options: MonitorOptions) throws -> UnixSocket? {
        if let descriptor = options.listeningDescriptor {
            return try UnixSocket(adoptingListener: OwnedDescriptor(adopting: descriptor))
        }
        return try options.apiSocket.map { try UnixSocket.listen(at: $0) }
    }

    private static func makeServer(
        _ socket: UnixSocket,
        _ service: MachineService,
        _ options: MonitorOptions
    ) throws -> HTTPServer {
        let owner = geteuid()
        return try HTTPServer(
            socket: socket,
            name: APIVersion.name,
            isAllowed: { $0.userID == owner || $0.userID == 0 },
            onConnectionCountChange: { count in
                // Whoever wanted to start a machine has gone before that.
                if options.endsWhenUnused, count == 0, !service.isStarted { service.stop() }
            },
            handler: service.handle
        )
    }
}
