// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import Machine
import MachineModel
import MachineSession
import Network
import SystemPackage

/// The options of `martlet run` for networks and for connections between guest and host.
struct NetworkOptions: ParsableArguments {
    @Option(
        name: [.customLong("net"), .customLong("network")],
        help: NetworkOption.help,
        transform: NetworkOption.init(parsing:)
    )
    var networks: [NetworkOption] = []

    @Option(
        name: [.customShort("p"), .customLong("publish")],
        help: ArgumentHelp(
            "Publish a port of the guest on the host: [[IP:]HOST:]GUEST[/tcp|udp]; implies --net=user.",
            discussion:
                "Ports may be ranges (8000-8010:8000-8010). Without HOST, Martlet chooses a free port and prints it.",
            valueName: "ports"
        ),
        transform: { text throws(PortForwardError) in try PortForward(text) }
    )
    var forwards: [PortForward] = []

    @Option(
        help: ArgumentHelp(
            "Connect programs of guest and host by Unix sockets (virtio-vsock): PATH[,cid=N], or none.",
            discussion: """
                A program connects to PATH and writes 'CONNECT port'; see docs/vsock.md. A machine with a name has such a \
                socket in its folder, unless this says none.
                """,
            valueName: "path"
        ),
        transform: VsockOption.init(parsing:)
    )
    var vsock: VsockOption?

    @Option(
        help: ArgumentHelp(
            "Serve the data of a JSON file to the guest at http://169.254.169.254/, on all its networks.",
            valueName: "path"
        ),
        completion: .file()
    )
    var metadata: String?

    func validate() throws {
        guard !forwards.isEmpty, let other = networks.compactMap(\.interface).first, user(of: interfaces) == nil else {
            return
        }
        throw ValidationError(
            "-p needs --net=user."
                + (other.backend == .tap
                    ? " For a TAP the host's kernel does it: nft add rule ip nat prerouting tcp dport HOST dnat to GUEST:PORT"
                    : "")
        )
    }

    /// Chooses free ports of the host where none are given, and prints them.
    mutating func choosePorts() throws {
        for index in forwards.indices where forwards[index].hostPorts == nil {
            try forwards[index].resolve()
            Messages.write("published \(forwards[index])")
        }
    }

    private func user(of interfaces: [NetworkInterface]) -> Int? { interfaces.firstIndex { $0.backend == .user } }

    func apply(to configuration: inout MachineConfiguration) {
        if !networks.isEmpty { configuration.networkInterfaces = interfaces }
        // A port that is still to be chosen has no place in a description.
        let known = forwards.filter { $0.hostPorts != nil }.map(\.specification)
        if !forwards.isEmpty {
            if configuration.networkInterfaces.isEmpty {
                var interface = NetworkInterface("eth0")
                interface.backend = .user
                configuration.networkInterfaces = [interface]
            }
            if let index = user(of: configuration.networkInterfaces) {
                configuration.networkInterfaces[index].forwards += known
            }
        }
        if let vsock { configuration.vsock = vsock.vsock }
        if metadata != nil, configuration.metadataService == nil, !configuration.networkInterfaces.isEmpty {
            let ids = configuration.networkInterfaces.map(\.id)
            // The version that answers with tokens and without.
            configuration.metadataService = MetadataConfiguration(networkInterfaces: ids, version: .v1)
        }
    }

    /// Sets the host's sides of a saved machine's interfaces, in their order, and of its vsock.
    ///
    /// - Throws: `ValidationError` where the options do not say where each interface leads.
    func apply(to options: inout RestoreOptions, of saved: MachineConfiguration) throws {
        let (given, known) = (interfaces, saved.networkInterfaces)
        guard given.count == known.count else {
            throw ValidationError(
                "The saved machine has \(known.count) network interfaces: give as many --net=NETWORK, not \(given.count)."
            )
        }
        for (interface, saved) in zip(given, known) { options.networks[saved.id] = interface }
        options.vsockPath = vsock?.vsock?.path.map { FilePath(hostText: $0) }
        guard metadata == nil || saved.metadataService != nil else {
            throw ValidationError("The saved machine has no metadata service: leave out --metadata.")
        }
    }

    /// The file of the metadata service's first data.
    var metadataFile: FilePath? { metadata.map { FilePath(hostText: $0) } }

    private var interfaces: [NetworkInterface] {
        networks.compactMap(\.interface).enumerated().map { index, interface in
            var interface = interface
            interface.id = "eth\(index)"
            return interface
        }
    }
}

/// A network as people write it: `user`, `tap:tap0,mac=06:00:ac:10:00:02`, `fd:3`, `socket:PATH`, `dgram:PATH`, `none`.
struct NetworkOption {
    static let help = ArgumentHelp(
        "A network interface: user, tap:NAME, fd:N, socket:PATH, dgram:PATH or none. May be given several times.",
        discussion: """
            user[,host-loopback], or --net alone, is the machine's own network, made by passt without any rights on the \
            host. tap:NAME is an existing interface of the host, fd:3 a descriptor of a TAP or socket, and socket:PATH or \
            dgram:PATH a program that listens there. All take [,mac=ADDRESS][,mtu=N][,rx-bandwidth=SIZE]\
            [,tx-bandwidth=SIZE] (bytes a second: 20M), and [,address=CIDR][,gateway=IP][,dns=IP|none] for the default \
            guest; a TAP also takes [,queues=N].
            """,
        valueName: "network"
    )

    /// The command line, in which `--net` may stand alone: the parser would take what follows it, such as the kernel.
    ///
    /// - Returns: The same, with `--net=user` for it.
    static func completed(_ arguments: [String]) -> [String] {
        guard arguments.first == "run" else { return arguments }
        let end = RunImageCommand.endOfOptions(in: arguments)
        return arguments.indices.map { index in
            let argument = arguments[index]
            guard index < end, argument == "--net" || argument == "--network" else { return argument }
            let next = index + 1 < arguments.count ? arguments[index + 1] : ""
            return isNetwork(next) ? argument : "\(argument)=user"
        }
    }

    /// Indicates whether a word begins as a network does.
    static func isNetwork(_ word: String) -> Bool {
        ["user", "tap", "fd", "socket", "dgram", "none"].contains(word.prefix { $0 != ":" && $0 != "," })
    }

    /// The interface, still without an id; `nil` for no network.
    let interface: NetworkInterface?

    /// Reads a network.
    init(parsing argument: String) throws(OptionProblem) {
        let fields = OptionFields(argument)
        let (kind, name) = fields.kind
        if kind == "none", name == nil, fields.rest.isEmpty {
            interface = nil
            return
        }
        var interface = NetworkInterface("")
        switch (kind, name) {
        case ("user", nil): interface.backend = .user
        case ("tap", let name?): interface.hostDeviceName = name
        case ("fd", let numbers?):
            interface.backend = .fd
            interface.descriptors = numbers.split(separator: ":").map { Int($0) ?? -1 }
        case ("socket", let path?), ("dgram", let path?):
            interface.backend = kind == "socket" ? .stream : .datagram
            interface.path = path
        default:
            throw OptionProblem(
                "unknown network '\(argument)': write --net=user, tap:NAME, fd:N, socket:PATH, dgram:PATH or none, and KERNEL before it"
            )
        }
        for field in fields.rest { try Self.set(field, of: &interface) }
        do throws(ConfigurationError) {
            interface.id = "eth0"
            try interface.validate(at: "")
            try interface.validateAttachment(at: "")
        } catch {
            throw OptionProblem("'\(argument)': \(error.problem)")
        }
        self.interface = interface
    }

    private static func set(_ field: OptionFields.Field, of interface: inout NetworkInterface) throws(OptionProblem) {
        switch (field.name, field.value) {
        case ("mac", let value?): interface.guestMAC = value
        case ("mtu", let value?): interface.mtu = Int(try field.number(value))
        case ("queues", let value?) where interface.backend == .tap:
            interface.queueCount = Int(try field.number(value))
        case ("rx-bandwidth", let value?):
            interface.receiveRateLimit = RateLimit(bytesPerSecond: try field.size(value))
        case ("tx-bandwidth", let value?):
            interface.sendRateLimit = RateLimit(bytesPerSecond: try field.size(value))
        case ("address", let value?): interface.address = value
        case ("gateway", let value?): interface.gateway = value
        case ("dns", let value?): interface.nameServer = value
        case ("host-loopback", nil) where interface.backend == .user: interface.hasHostLoopback = true
        default:
            throw OptionProblem(
                "unknown network option '\(field)'; valid options are mac=, mtu=, rx-bandwidth=, tx-bandwidth=, address=, gateway=, dns="
                    + (interface.backend == .tap
                        ? " and queues=" : interface.backend == .user ? " and host-loopback" : "")
            )
        }
    }
}

/// Connections between guest and host as people write them: `v.sock`, `v.sock,cid=7`, `none`.
struct VsockOption {
    /// `nil` for none.
    let vsock: Vsock?

    init(parsing argument: String) throws(OptionProblem) {
        let fields = OptionFields(argument)
        guard argument != "none" else {
            vsock = nil
            return
        }
        guard !fields.first.isEmpty else { throw OptionProblem("the path of the socket is missing") }
        var vsock = Vsock(path: fields.first)
        for field in fields.rest {
            guard field.name == "cid", let value = field.value else {
                throw OptionProblem("unknown vsock option '\(field)'; the valid one is cid=")
            }
            vsock.guestCID = try field.number(value)
        }
        self.vsock = vsock
    }
}
