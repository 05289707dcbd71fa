// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import SystemPackage

/// The command line of an OCI runtime, as engines write it: options, a command, its options, and a container's id.
struct RuntimeOptions {
    /// All of them, for the program that does the rest.
    private(set) var arguments: [String] = []
    private(set) var root = "/run/martlet/runc"
    private(set) var log: String?
    private(set) var logIsJSON = false
    private(set) var showsVersion = false
    private(set) var command = ""
    private(set) var id = ""
    private(set) var rest: [String] = []
    /// Options of the command with a value, by their long names.
    private var values: [String: String] = [:]
    /// The places of those values in `arguments`: whole words, or after an equals sign.
    private var places: [String: Int] = [:]
    private var flags: Set<String> = []

    private static let globalValues: Set<String> = ["--root", "--log", "--log-format", "--criu", "--rootless"]
    private static let shortNames = [
        "-b": "--bundle", "-p": "--process", "-e": "--env", "-u": "--user", "-r": "--resources", "-d": "--detach",
        "-t": "--tty", "-a": "--all", "-v": "--version", "-h": "--help",
    ]
    private static let values: [String: Set<String>] = [
        "create": ["--bundle", "--console-socket", "--pid-file", "--preserve-fds", "--pidfd-socket"],
        "exec": [
            "--process", "--console-socket", "--pid-file", "--cwd", "--env", "--user", "--additional-gids",
            "--process-label", "--apparmor", "--cap", "--preserve-fds", "--cgroup", "--pidfd-socket",
        ],
        "update": [
            "--resources", "--blkio-weight", "--cpu-period", "--cpu-quota", "--cpu-share", "--cpu-rt-period",
            "--cpu-rt-runtime", "--cpuset-cpus", "--cpuset-mems", "--memory", "--memory-reservation", "--memory-swap",
            "--pids-limit", "--l3-cache-schema", "--mem-bw-schema",
        ],
    ]

    init() {}

    init(_ arguments: [String]) throws(RuntimeProblem) {
        self.arguments = arguments
        var index = 0
        func isOption(_ word: String) -> Bool { word.hasPrefix("-") && word.count > 1 }
        while index < arguments.count {
            let word = arguments[index]
            let isOfCommand = !command.isEmpty
            guard isOption(word), id.isEmpty || command == "kill" || command == "delete" else {
                if command.isEmpty { command = word } else if id.isEmpty { id = word } else { rest.append(word) }
                index += 1
                continue
            }
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            let name = Self.shortNames[parts[0]] ?? parts[0]
            let takesValue =
                isOfCommand ? Self.values[command]?.contains(name) == true : Self.globalValues.contains(name)
            if takesValue {
                if parts.count == 1 {
                    index += 1
                    guard index < arguments.count else { throw RuntimeProblem("\(name) needs a value") }
                }
                let value = parts.count > 1 ? parts[1] : arguments[index]
                (values[name], places[name]) = (value, index)
            } else {
                flags.insert(name)
            }
            index += 1
        }
        showsVersion = command.isEmpty && flags.contains("--version")
        root = values["--root"] ?? root
        log = values["--log"]
        logIsJSON = values["--log-format"] == "json"
    }

    subscript(name: String) -> String? { values[name] }

    func has(_ flag: String) -> Bool { flags.contains(flag) }

    /// Gives an option another value; one that was not given is added.
    mutating func replace(_ name: String, by value: String) {
        defer { values[name] = value }
        guard let place = places[name] else {
            let command = (arguments.firstIndex(of: command) ?? 0) + 1
            arguments.insert(contentsOf: [name, value], at: command)
            for (other, place) in places where place >= command { places[other] = place + 2 }
            places[name] = command + 1
            return
        }
        let word = arguments[place]
        if word.hasPrefix("-"), let equals = word.firstIndex(of: "="), word != "-" {
            arguments[place] = word[...equals] + value
        } else {
            arguments[place] = value
        }
    }

    /// The container's id, which becomes part of paths.
    func requireID() throws(RuntimeProblem) -> String {
        let isPlain = id.utf8.allSatisfy { byte in
            (0x30..<0x3a).contains(byte) || (0x41..<0x5b).contains(byte) || (0x61..<0x7b).contains(byte)
                || "_+-.".utf8.contains(byte)
        }
        guard !id.isEmpty, isPlain, id != ".", id != "..", id.utf8.count <= 1024 else {
            throw RuntimeProblem(id.isEmpty ? "a container id is missing" : "invalid container id '\(printable(id))'")
        }
        return id
    }

    /// Reports an error where engines look for it: the log, and standard error.
    func report(_ message: String) {
        let message = printable(message)
        try? FileDescriptor.standardError.write(all: "\(message)\n".utf8)
        guard let log else { return }
        var now = time(nil)
        var parts = unsafe tm()
        unsafe gmtime_r(&now, &parts)
        var text = [CChar](repeating: 0, count: 32)
        unsafe strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
        let stamp = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        let object: JSONValue = ["level": "error", "msg": .string(message), "time": .string(stamp)]
        let line = logIsJSON ? object.text : "time=\"\(stamp)\" level=error msg=\(JSONValue.string(message).text)"
        let raw = unsafe open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard raw >= 0 else { return }
        let file = OwnedDescriptor(adopting: raw)
        try? file.borrowed.write(all: "\(line)\n".utf8)
    }
}
