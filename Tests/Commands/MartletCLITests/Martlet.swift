// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport

/// The command under test: what it is given, and how to run it.
struct Martlet {
    /// The other end of a standard descriptor.
    enum Channel {
        case terminal
        case pipe
        case null
        case closed
        case file(String, flags: CInt = O_RDONLY)
    }

    /// The results of a run.
    struct Result {
        let termination: ChildProcess.Termination
        let output: [UInt8]
        let messages: String

        var text: String { String(decoding: output, as: UTF8.self) }
    }

    /// The program: beside the tests, unless `MARTLET_BINARY` names another one.
    static let program: String = {
        if let path = unsafe getenv("MARTLET_BINARY") { return unsafe String(cString: path) }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
        let tests = String(decoding: buffer.prefix(max(0, count)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        return "/" + tests.split(separator: "/").dropLast().joined(separator: "/") + "/martlet"
    }()

    var arguments: [String]
    /// Written to a file whose name goes after `run`.
    var guest: TinyELF?
    var input: Channel = .pipe
    var output: Channel = .pipe
    var messages: Channel = .pipe
    /// Added to the environment of this process.
    var environment: [String: String] = [:]
    /// A program that starts martlet, with the arguments that come before martlet's own path.
    var launcher: [String] = []

    /// `martlet` with these arguments.
    init(_ arguments: [String]) {
        self.arguments = arguments
    }

    /// `martlet run` with a guest of a few bytes.
    init(guest: [GuestCode], _ options: String...) {
        self.init(image: TinyELF(guest), options)
    }

    init(image: TinyELF, _ options: [String] = []) {
        arguments = options
        guest = image
    }

    /// The same with its console on a terminal; its messages are kept apart.
    var onTerminal: Martlet {
        var copy = self
        (copy.input, copy.output) = (.terminal, .terminal)
        return copy
    }

    /// The same with other standard descriptors.
    func with(input: Channel? = nil, output: Channel? = nil, messages: Channel? = nil) -> Martlet {
        var copy = self
        copy.input = input ?? self.input
        copy.output = output ?? self.output
        copy.messages = messages ?? self.messages
        return copy
    }

    /// The same with other arguments.
    func with(arguments: [String]) -> Martlet {
        var copy = self
        copy.arguments = arguments
        return copy
    }

    /// Runs it without input to its end.
    func runToEnd(within duration: Duration = Deadline.standard) throws -> Result {
        try run { running in
            running.input.closeOutput()
            return try running.end(within: duration)
        }
    }

    /// Runs it for as long as `body` lasts; nothing of it is left behind, however `body` ends.
    func run<R>(_ body: (RunningMartlet) throws -> R) throws -> R {
        let running = try RunningMartlet(self)
        defer { running.clear() }
        return try body(running)
    }
}

/// A martlet that runs, from the point of view of its user.
final class RunningMartlet {
    let process: ChildProcess
    /// There when one of the standard descriptors is a terminal.
    let terminal: PseudoTerminal?
    /// Takes what is typed or piped in.
    ///
    /// The same as `output` where both are pipes, or both the terminal.
    let input: ByteStream
    /// Gives what comes on standard output.
    let output: ByteStream
    /// Gives what comes on standard error.
    let messages: ByteStream

    private let folder: TemporaryFolder

    init(_ martlet: Martlet) throws {
        folder = try TemporaryFolder()
        var arguments = martlet.launcher + [Martlet.program] + martlet.arguments
        if let guest = martlet.guest {
            let kernel = try folder.write(guest.bytes, to: "guest")
            arguments.insert(contentsOf: ["run", kernel], at: martlet.launcher.count + 1)
        }
        var channels = try [martlet.input, martlet.output, martlet.messages].enumerated().map { index, channel in
            try OpenChannel(channel, isInput: index == 0)
        }
        terminal = channels.contains { $0.needsTerminal } ? try PseudoTerminal() : nil
        for index in channels.indices { try channels[index].connect(to: terminal) }
        defer { for channel in channels { channel.closeTheirs() } }
        process = try ChildProcess(
            arguments[0],
            Array(arguments.dropFirst()),
            environment: martlet.environment.merging(["MARTLET_GUEST_IMAGES": GuestImages.folder]) { own, _ in own },
            descriptors: channels.map(\.descriptor)
        )
        if let terminal, channels[0].needsTerminal, channels[1].needsTerminal {
            (input, output) = (terminal.user, terminal.user)
        } else if let terminal, channels[0].needsTerminal {
            input = terminal.user
            output = try ByteStream(input: channels[1].ours, output: nil)
        } else {
            let both = try ByteStream(input: channels[1].ours, output: channels[0].ours)
            (input, output) = (both, channels[1].needsTerminal ? terminal?.user ?? both : both)
        }
        messages = try ByteStream(input: channels[2].ours, output: nil)
    }

    /// Waits for its end and takes all that it has still written.
    func end(within duration: Duration = Deadline.standard) throws -> Martlet.Result {
        let rest = try output.readToEnd(within: duration)
        try messages.readToEnd(within: duration)
        let termination = try process.wait(within: duration)
        return Martlet.Result(termination: termination, output: rest, messages: messages.text)
    }

    /// Waits for its end.
    func termination() throws -> ChildProcess.Termination {
        try end().termination
    }

    /// Kills and reaps whatever is still there.
    func clear() {
        process.end()
        for left in process.session { kill(left, SIGKILL) }
    }
}

/// One standard descriptor of a martlet, from both sides.
private struct OpenChannel {
    let needsTerminal: Bool
    var descriptor: ChildProcess.Descriptor
    /// This process's end of a pipe.
    var ours: CInt?
    /// The child's end of a pipe, which this process closes once the child has it.
    var theirs: CInt?

    init(_ channel: Martlet.Channel, isInput: Bool) throws {
        needsTerminal = if case .terminal = channel { true } else { false }
        switch channel {
        case .terminal, .null: descriptor = .null
        case .closed: descriptor = .closed
        case .file(let path, let flags): descriptor = .file(path, flags: flags)
        case .pipe:
            let pipe = try Pipe()
            let (ours, theirs) = isInput ? (pipe.writeEnd, pipe.readEnd) : (pipe.readEnd, pipe.writeEnd)
            (self.ours, self.theirs) = (ours, theirs)
            descriptor = .copy(theirs)
        }
    }

    mutating func connect(to terminal: PseudoTerminal?) throws {
        if needsTerminal, let terminal { descriptor = .file(terminal.path) }
    }

    func closeTheirs() {
        if let theirs { close(theirs) }
    }
}
