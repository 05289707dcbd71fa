// SPDX-License-Identifier: Apache-2.0

package import GuestAgent
import Host
package import JSON
import SystemPackage

/// The parts of OCI's runtime specification that a guest can serve: `config.json` and `process` of an exec.
package enum RuntimeSpecification {
    /// The reason why a specification cannot be served.
    package struct Problem: Error, Hashable, CustomStringConvertible {
        package let description: String

        package init(_ description: String) {
            self.description = description
        }
    }

    // MARK: - process

    /// Reads OCI's `process`.
    ///
    /// - Parameters:
    ///   - process: The object.
    ///   - configuration: The `config.json` of the process's container, with martlet-runtime's additions.
    /// - Returns: The program, in no container.
    /// - Throws: `Problem`.
    package static func program(
        _ process: JSONValue,
        in configuration: JSONValue = .null
    ) throws(Problem) -> GuestProgram {
        var program = GuestProgram(strings(process["args"]))
        guard !program.arguments.isEmpty else { throw Problem("process.args is empty: there is no program to run") }
        program.environment = strings(process["env"])
        program.folder = process["cwd"].string ?? "/"
        program.hasTerminal = process["terminal"] == true
        program.hasNoNewPrivileges = process["noNewPrivileges"] == true
        program.filter = SystemCallFilter(configuration["filter"])
        var user = GuestProgram.User()
        user.id = try number(process["user"]["uid"], "process.user.uid") ?? 0
        user.group = try number(process["user"]["gid"], "process.user.gid") ?? 0
        user.umask = try number(process["user"]["umask"], "process.user.umask")
        for group in process["user"]["additionalGids"].elements {
            if let id: UInt32 = try number(group, "process.user.additionalGids") { user.otherGroups.append(id) }
        }
        program.user = user
        if case .object = process["capabilities"] {
            let sets = process["capabilities"]
            var capabilities = GuestProgram.Capabilities()
            capabilities.bounding = Self.capabilities(sets["bounding"])
            capabilities.permitted = Self.capabilities(sets["permitted"])
            capabilities.effective = Self.capabilities(sets["effective"])
            capabilities.inheritable = Self.capabilities(sets["inheritable"])
            capabilities.ambient = Self.capabilities(sets["ambient"])
            program.capabilities = capabilities
        }
        for limit in process["rlimits"].elements {
            guard let name = limit["type"].string, let resource = resources.firstIndex(of: name) else {
                throw Problem("process.rlimits: unknown limit '\(limit["type"].string ?? "")'")
            }
            program.limits.append(
                GuestProgram.Limit(
                    resource: UInt32(resource),
                    // Engines write "unlimited" as -1 or as 2^64 - 1.
                    soft: limit["soft"].bits ?? .max,
                    hard: limit["hard"].bits ?? .max
                )
            )
        }
        if let rows: UInt16 = try number(process["consoleSize"]["height"], "process.consoleSize"),
            let columns: UInt16 = try number(process["consoleSize"]["width"], "process.consoleSize"), columns > 0
        {
            program.size = Terminal.Size(rows: rows, columns: columns)
        }
        return program
    }

    /// In the order of their numbers, setrlimit(2).
    private static let resources = [
        "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC",
        "RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE",
        "RLIMIT_NICE",
        "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
    ]

    /// In the order of their numbers, capabilities(7).
    private static let capabilityNames = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
    ]

    private static func capabilities(_ names: JSONValue) -> UInt64 {
        strings(names).reduce(0) { set, name in
            capabilityNames.firstIndex(of: String(name.dropFirst(4))).map { set | 1 << UInt64($0) } ?? set
        }
    }

    // MARK: - config.json

    /// Reads a container's `config.json`, whose bind mounts lead to copies already.
    ///
    /// - Parameters:
    ///   - configuration: The whole file.
    ///   - base: The guest's disk with the root file system.
    ///   - scratch: The guest's disk for the container's writes.
    ///   - interfaces: Its network.
    ///   - guestMiB: The memory of its machine, where it is alone there.
    ///   - member: Its place in the pod whose machine the guest is; `nil` for a container that is alone there.
    /// - Returns: The program, in a container of its own.
    /// - Throws: `Problem`.
    package static func container(
        _ configuration: JSONValue,
        base: String,
        scratch: String,
        interfaces: [GuestContainer.Interface] = [],
        guestMiB: Int = 0,
        of member: PodMember? = nil
    ) throws(Problem) -> GuestProgram {
        var program = try program(configuration["process"], in: configuration)
        var container = GuestContainer(base: base)
        container.scratch = scratch
        container.interfaces = interfaces
        container.isReadOnly = configuration["root"]["readonly"] == true
        // A container of a pod has the name of the pod's sandbox, whose namespace it is to join; its engine gives it the variable.
        let variable = program.environment.last { $0.hasPrefix("HOSTNAME=") }?.dropFirst("HOSTNAME=".count)
        container.hostName = configuration["hostname"].string ?? variable.map(String.init) ?? ""
        container.domainName = configuration["domainname"].string ?? ""
        if case .object(let settings) = configuration["linux"]["sysctl"] {
            container.settings = settings.names.map { GuestContainer.Setting($0, (settings[$0] ?? .null).string ?? "") }
        }
        container.mounts = configuration["mounts"].elements.map(mount)
        container.maskedPaths = strings(configuration["linux"]["maskedPaths"])
        container.readonlyPaths = strings(configuration["linux"]["readonlyPaths"])
        if let member {
            member.apply(configuration, to: &container)
        } else {
            container.time = .now
            // The machine is as large as the limits of memory and processors, and the host's control group holds its processes. Linux has
            // one thread for each 128 KiB of memory at most: larger limits hold without a control group in the guest.
            let limit = configuration["linux"]["resources"]["pids"]["limit"].integerValue ?? 0
            if limit > 0, limit < guestMiB * 8 {
                var membership = GuestContainer.Membership()
                membership.processLimit = UInt64(limit)
                container.membership = membership
            }
        }
        program.place = .newContainer(container)
        return program
    }

    private static func mount(_ value: JSONValue) -> GuestContainer.Mount {
        let (target, source) = (value["destination"].string ?? "", value["source"].string ?? "")
        var type = value["type"].string ?? ""
        let options = strings(value["options"])
        if type == "bind" || options.contains("bind") || options.contains("rbind") {
            return .staged(at: FilePath(hostText: source), target: target, isReadOnly: options.contains("ro"))
        }
        // The guest has the second version alone.
        if type == "cgroup" { type = "cgroup2" }
        var (flags, data): (UInt64, [String]) = (0, [])
        for option in options {
            if let flag = mountFlags[option] {
                flags |= flag
            } else if !ignoredOptions.contains(option) {
                data.append(option)
            }
        }
        return .fileSystem(
            type: type,
            source: source.isEmpty ? type : source,
            target: target,
            flags: flags,
            options: data.joined(separator: ",")
        )
    }

    /// MS_* of mount(2).
    private static let mountFlags: [String: UInt64] = [
        "ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "sync": 16, "noatime": 1024, "nodiratime": 2048,
        "relatime": 1 << 21, "strictatime": 1 << 24,
    ]
    /// Defaults, propagation, which has no meaning in a guest, and what runtimes do beside the mount itself.
    private static let ignoredOptions: Set<String> = [
        "rw", "suid", "dev", "exec", "async", "atime", "diratime", "defaults", "private", "rprivate", "slave", "rslave",
        "shared", "rshared", "unbindable", "runbindable", "tmpcopyup", "copyup", "nosymfollow",
    ]

    // MARK: - JSON

    private static func strings(_ value: JSONValue) -> [String] { value.elements.compactMap(\.string) }

    private static func number<T: FixedWidthInteger>(_ value: JSONValue, _ name: String) throws(Problem) -> T? {
        if value == .null { return nil }
        guard let integer = value.integerValue, let number = T(exactly: integer) else {
            throw Problem("\(name) is not a number in the valid range")
        }
        return number
    }
}
