// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// The shell of the default guest, at its prompt, on the terminal of a martlet.
struct LinuxShell {
    static let prompt = "martlet:~# "
    static let patience = Duration.seconds(900)

    let martlet: RunningMartlet

    /// Boots the default guest and gives its shell to `body`.
    ///
    /// - Parameters:
    ///   - options: Options of `martlet run`.
    ///   - body: Ends the machine, or leaves it to be killed.
    /// - Throws: What `body` throws, or that the prompt did not come.
    static func boot(_ options: String..., body: (LinuxShell) throws -> Void) throws {
        try boot(options, body: body)
    }

    static func boot(_ options: [String], body: (LinuxShell) throws -> Void) throws {
        _ = try GuestImages.path(options.contains("--cpus") ? "vmlinux-smp" : "vmlinux")
        try Martlet(["run", "--boot"] + options).onTerminal.run { martlet in
            let terminal = try #require(martlet.terminal)
            let before = terminal.firstAttributes
            try martlet.output.read(until: prompt, within: patience)
            try body(LinuxShell(martlet: martlet))
            if martlet.process.hasEnded { #expect(try terminal.attributes == before) }
        }
    }

    /// Runs a command that prints one line, and returns that line.
    func run(_ command: String) throws -> String {
        try martlet.input.write(command + "\n")
        // The shell echoes what it reads.
        try martlet.output.read(until: command + "\r\n", within: Self.patience)
        let output = try martlet.output.read(until: Self.prompt, within: Self.patience)
        return String(output.dropLast(Self.prompt.count).filter { $0 != "\r" && $0 != "\r\n" })
    }

    /// Starts what does not come back to the prompt by itself.
    func start(_ command: String) throws {
        try martlet.input.write(command + "\n")
        try martlet.output.read(until: command + "\r\n", within: Self.patience)
    }

    /// Types a line for the job in the foreground, and waits for what only the job says.
    func answer(_ line: String) throws {
        try martlet.input.write(line + "\n")
        try martlet.output.read(until: "got-" + line + "\r\n", within: Self.patience)
    }

    func press(_ key: String) throws {
        try martlet.input.write(key)
    }

    func awaitPrompt() throws -> String {
        try martlet.output.read(until: Self.prompt, within: Self.patience)
    }

    /// Powers the guest off, and expects that martlet ends well.
    func powerOff() throws {
        try martlet.input.write("poweroff\n")
        #expect(try martlet.end(within: Self.patience).termination == .exited(0))
    }
}
