// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestAgent
import Host
import Synchronization
import SystemPackage
import TestSupport

/// The guest's agent as a process of the host, which serves one connection.
final class HostedAgent {
    let connection: AgentConnection
    let process: RunningProcess

    /// Indicates whether tests with it run.
    static let isThere = GuestImages.isExpected || GuestImages.isThere("agent")

    init() throws {
        let pair = try UnixSocketPair()
        var launch = ProcessLaunch(FilePath(try GuestImages.path("agent")))
        launch.descriptors = [nil, .standardOutput, .standardError, pair.other.borrowed]
        process = try launch.start()
        connection = AgentConnection(pair.one)
    }

    deinit {
        try? process.send(SIGKILL)
        _ = process.takeStatus()
    }

    /// Lets an agent do one thing.
    static func with<R>(_ body: (AgentConnection) throws -> R) throws -> R {
        let agent = try HostedAgent()
        return try withExtendedLifetime(agent) { try body(agent.connection) }
    }

    /// Runs a program, and collects all that it writes.
    func run(_ program: GuestProgram, input: [UInt8]? = nil, signals: [CInt] = []) throws -> Ending {
        let (output, errorOutput) = (try Pipe(), try Pipe())
        let source = try input.map { _ in try Pipe() }
        defer {
            close(output.readEnd)
            close(errorOutput.readEnd)
        }
        let queue = try ProgramRun.Signals()
        let run = ProgramRun(
            connection,
            input: source.map { FileDescriptor(rawValue: $0.readEnd) },
            output: FileDescriptor(rawValue: output.writeEnd),
            errorOutput: FileDescriptor(rawValue: errorOutput.writeEnd),
            signals: queue
        )
        let feeder = try source.map { source in
            try HostThread("input") {
                try? FileDescriptor(rawValue: source.writeEnd).write(all: input ?? [])
                close(source.writeEnd)
            }
        }
        let reader = Collector(output.readEnd), errorReader = Collector(errorOutput.readEnd)
        try reader.start()
        try errorReader.start()
        // Before the pipes are closed, also where the run fails: a number that is free again is another test's soon.
        defer { for collector in [reader, errorReader] { collector.join() } }
        defer {
            // First: what nobody reads would hold up the writer.
            if let source { close(source.readEnd) }
            feeder?.join()
        }
        let status: WaitStatus
        do {
            defer {
                close(output.writeEnd)
                close(errorOutput.writeEnd)
            }
            status = try run.run(program) { for signal in signals { queue.send(signal) } }
        }
        return Ending(status: status, output: reader.text(), errorOutput: errorReader.text())
    }

    struct Ending: Hashable {
        let status: WaitStatus
        let output: String
        let errorOutput: String
    }
}

/// Two connected sockets.
struct UnixSocketPair: ~Copyable {
    let one: UnixSocket
    let other: OwnedDescriptor

    init() throws {
        var ends: [CInt] = [-1, -1]
        let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw Errno(rawValue: errno) }
        one = UnixSocket(adopting: OwnedDescriptor(adopting: ends[0]))
        other = OwnedDescriptor(adopting: ends[1])
    }
}

/// Reads a pipe to its end on a thread of its own.
private final class Collector: Sendable {
    private let end: CInt
    private let bytes = Mutex<[UInt8]>([])
    private let thread = Mutex<HostThread?>(nil)

    init(_ end: CInt) { self.end = end }

    func start() throws {
        let started = try HostThread("output") { [self] in
            while let some = try? FileDescriptor(rawValue: end).readSome(limit: 65536), !some.isEmpty {
                bytes.withLock { $0 += some }
            }
        }
        thread.withLock { $0 = started }
    }

    func join() { thread.withLock { $0.take() }?.join() }

    func text() -> String {
        join()
        return bytes.withLock { String(decoding: $0, as: UTF8.self) }
    }
}
