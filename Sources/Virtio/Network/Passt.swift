// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import MachineModel
import Synchronization
package import SystemPackage

/// A passt(1) process, which is one machine's network: this process starts it, watches it, and ends it.
package final class Passt: Sendable {
    /// The time that passt may take to answer; it needs some tens of milliseconds.
    private static let patience = Duration.seconds(20)

    private let process: RunningProcess
    /// The messages of passt; never read while it runs, so those beyond a pipe's room are lost.
    private let messages: OwnedDescriptor
    /// The machine's end of the socket: passt ends when it is shut down, and a signal may be refused (docs/security.md).
    private let connection: OwnedDescriptor
    private let hasEnded = Mutex(false)

    private init(
        _ program: FilePath,
        _ network: UserNetwork,
        socket: FileDescriptor,
        connection: FileDescriptor
    ) throws(NetworkError) {
        let output = try Ends(isPipe: true)
        var launch = ProcessLaunch(program, arguments: network.arguments(descriptor: 3))
        launch.descriptors = [nil, nil, output.other.borrowed, socket]
        do throws(Errno) {
            self.connection = try OwnedDescriptor(duplicating: connection)
            process = try launch.start()
        } catch {
            throw .failed("\(program)", operation: "start", error)
        }
        messages = output.takeOwn()
    }

    deinit { end() }

    /// The program, in a folder of `PATH` or where distributions install it; nil where there is none.
    package static func program() -> FilePath? {
        HostProgram.find("passt")
    }

    /// Indicates whether the kernel lets processes without rights send pings, as passt does for its guest (`ping_group_range`).
    package static var canPing: Bool {
        let path = FilePath("/proc/sys/net/ipv4/ping_group_range")
        guard let text = try? FileContents.text(of: path, limit: 64) else { return false }
        let ends = text.split(whereSeparator: \.isWhitespace).compactMap { UInt32($0) }
        return ends.count == 2 && ends[0] <= ends[1]
    }

    /// Starts passt, and returns when it serves the network.
    ///
    /// - Parameters:
    ///   - network: The settings of the network, with its ports chosen.
    ///   - address: The guest's hardware address, which passt learns by this.
    /// - Returns: The process, and the machine's end of its socket.
    /// - Throws: `NetworkError`, with passt's own words where it has some.
    package static func start(
        _ network: UserNetwork,
        address: MACAddress
    ) throws(NetworkError) -> (Passt, NetworkConnection) {
        guard let program = program() else { throw .noPasst }
        for var forward in network.forwards {
            do throws(PortForwardError) {
                try forward.resolve()
            } catch {
                throw .badUserNetwork(error.description)
            }
        }
        let socket = try Ends(isPipe: false)
        let passt = try Passt(program, network, socket: socket.other.borrowed, connection: socket.own.borrowed)
        let backend = StreamBackend(adopting: socket.takeOwn(), name: "user network (passt)")
        try passt.waitUntilReady(backend, network, address)
        return (passt, NetworkConnection(backends: [backend], mtu: network.mtu, process: passt.process))
    }

    /// Asks for the router's hardware address until there is an answer.
    private func waitUntilReady(
        _ backend: StreamBackend,
        _ network: UserNetwork,
        _ address: MACAddress
    ) throws(NetworkError) {
        let question = network.question(from: address)
        let end = ContinuousClock.now + Self.patience
        while ContinuousClock.now < end {
            _ = HostFrames.send(question, by: backend)
            let ready = Poll.wait(
                for: [(backend.descriptor, .readable), (process.descriptor, .readable)],
                timeout: .milliseconds(200)
            )
            while let frame = HostFrames.receive(from: backend) {
                if network.isAnswer(frame) { return }
            }
            if !ready[1].isEmpty { throw .passtFailed(lastWords) }
        }
        throw .passtFailed("it does not answer")
    }

    /// The new messages of passt.
    private var lastWords: String {
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = unsafe read(messages.rawValue, &bytes, bytes.count)
        let lines = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n")
        // It says of each line that it has no system log to send it to.
        let words = lines.filter { !$0.hasPrefix("Failed to send") && !$0.hasPrefix("Don't run as root") }
        guard !words.isEmpty else { return "it ended without a message" }
        return words.joined(separator: "; ")
    }

    /// Ends the process where it still runs, waits for its end, and leaves no zombie of it.
    package func end() {
        let isFirst = hasEnded.withLock { hasEnded in
            defer { hasEnded = true }
            return !hasEnded
        }
        guard isFirst else { return }
        shutdown(connection.rawValue, CInt(SHUT_RDWR))
        if !process.waitUntilEnded(timeout: .seconds(2)) {
            try? process.send(SIGKILL)
            _ = process.waitUntilEnded(timeout: .seconds(2))
        }
        var status: CInt = 0
        _ = unsafe waitpid(process.id, &status, WNOHANG)
    }

    // MARK: - Descriptors

    /// Two ends of a pipe, or of a connection.
    private struct Ends: ~Copyable {
        /// This process's.
        let own: OwnedDescriptor
        /// The other program's.
        let other: OwnedDescriptor

        /// This process's end; the other one is closed, so that it is the other program's alone.
        consuming func takeOwn() -> OwnedDescriptor { own }

        /// Makes a pipe that blocks neither end, so that a writer whose reader does not read continues, or two sockets.
        init(isPipe: Bool) throws(NetworkError) {
            var ends: [CInt] = [-1, -1]
            let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
            let result = isPipe ? unsafe pipe(&ends) : unsafe socketpair(AF_UNIX, type, 0, &ends)
            guard result == 0 else {
                throw .failed("user network", operation: isPipe ? "pipe" : "socketpair", Errno(rawValue: errno))
            }
            for end in ends where isPipe {
                _ = fcntl(end, F_SETFD, FD_CLOEXEC)
                _ = fcntl(end, F_SETFL, O_NONBLOCK)
            }
            own = OwnedDescriptor(adopting: ends[0])
            other = OwnedDescriptor(adopting: ends[1])
        }
    }
}

/// Frames in this process's own memory.
enum HostFrames {
    static func send(_ frame: [UInt8], by backend: any NetworkBackend) -> NetworkSending {
        var frame = frame
        return unsafe frame.withUnsafeMutableBytes { bytes in
            var vectors = unsafe vectors(bytes)
            let result = backend.send(&vectors)
            return result == .sent ? backend.flush() : result
        }
    }

    static func receive(from backend: any NetworkBackend) -> [UInt8]? {
        var frame = [UInt8](repeating: 0, count: NetworkFrame.maximumByteCount)
        let result = unsafe frame.withUnsafeMutableBytes { bytes in
            var vectors = unsafe vectors(bytes)
            return backend.receive(into: &vectors)
        }
        guard case .frame(let byteCount) = result else { return nil }
        return Array(frame.prefix(byteCount))
    }

    private static func vectors(_ bytes: UnsafeMutableRawBufferPointer) -> FrameVectors {
        var vectors = FrameVectors()
        let vector = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
        unsafe vectors.append(vector)
        return vectors
    }
}
