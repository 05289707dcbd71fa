// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport

/// Machines with names, in a runtime folder of their own; none of them outlives this.
final class NamedMachines {
    let runtime: TemporaryFolder

    init() throws {
        runtime = try TemporaryFolder()
        unsafe chmod(runtime.path, 0o700)
    }

    deinit {
        _ = try? run("rm", "--all", "--force")
    }

    /// `martlet` with these arguments, for these machines.
    func martlet(_ arguments: String...) -> Martlet {
        martlet(arguments)
    }

    func martlet(_ arguments: [String]) -> Martlet {
        with(Martlet(arguments))
    }

    /// `martlet run` with a guest of a few bytes.
    func guest(_ code: [GuestCode], _ options: String...) -> Martlet {
        with(Martlet(image: TinyELF(code), options))
    }

    private func with(_ martlet: Martlet) -> Martlet {
        var copy = martlet
        copy.environment["MARTLET_RUNTIME_DIR"] = runtime.path
        return copy
    }

    /// Runs a command to its end.
    @discardableResult
    func run(_ arguments: String...) throws -> Martlet.Result {
        try with(Martlet(arguments)).runToEnd()
    }

    /// Starts a machine that outlives its command.
    func start(_ name: String, _ code: [GuestCode], _ options: String...) throws -> Martlet.Result {
        try start(name, code, options)
    }

    func start(_ name: String, _ code: [GuestCode], _ options: [String]) throws -> Martlet.Result {
        try with(Martlet(image: TinyELF(code), ["--name", name, "--detach"] + options)).runToEnd()
    }

    /// The process of a machine.
    func processID(of name: String) throws -> pid_t? {
        let lines = try run("ps").text.split(separator: "\n").map { $0.split(separator: " ") }
        return lines.first { $0.first == name[...] }?.last.flatMap { pid_t($0) }
    }

    /// The names and states of all machines, as `ps --all` shows them.
    func states() throws -> [String: String] {
        let lines = try run("ps", "--all").text.split(separator: "\n").dropFirst().map { $0.split(separator: " ") }
        return Dictionary(lines.map { (String($0[0]), String($0[1])) }) { first, _ in first }
    }

    /// Everything in the runtime folder.
    func files() throws -> [String] {
        try runtime.names()
    }
}
