// SPDX-License-Identifier: Apache-2.0

/// A network interface of a machine: `/network-interfaces/{iface_id}` of the API.
public struct NetworkInterface: Codable, Hashable, Sendable {
    /// The name of the interface in the API: 1 to 64 ASCII letters, digits and underscores.
    public var id: String

    /// The TAP or macvtap interface of the host that it is attached to, where ``backend-swift.property`` is ``Backend-swift.enum/tap``.
    @DefaultWhenAbsent public var hostDeviceName: String

    /// The guest's hardware address, as `06:00:AC:10:00:02`; `nil` for one by chance.
    public var guestMAC: String?

    /// The size of the largest packet, 68 to 65535; `nil` for that of the host's side.
    public var mtu: Int?

    /// The limit of what the guest gets.
    public var receiveRateLimit: RateLimit?

    /// The limit of what the guest sends.
    public var sendRateLimit: RateLimit?

    /// Settings that Firecracker does not have.
    public var martlet: Extensions?

    /// The kinds of places on the host that an interface is attached to.
    public enum Backend: String, Codable, CaseIterable, Sendable {
        /// A TAP or macvtap interface, by its name.
        case tap
        /// A network of the machine's own behind this host, by passt(1), which needs no rights.
        case user
        /// Descriptors that the process has inherited: of a TAP or macvtap, or of a socket.
        case fd
        /// A program on a stream socket, which puts the length before each frame.
        case stream
        /// A program on a socket of datagrams.
        case datagram
    }

    /// Settings of an interface that Firecracker does not have.
    public struct Extensions: HasDefault, Sendable {
        /// The kind of its other end; `nil` for ``Backend-swift.enum/tap``.
        public var backend: Backend?
        /// The socket of a ``Backend-swift.enum/stream`` or ``Backend-swift.enum/datagram``.
        public var path: String?
        /// The descriptors of ``Backend-swift.enum/fd``, one for each queue.
        @DefaultWhenAbsent public var descriptors: [Int]
        /// The number of queues of a TAP; `nil` for 1.
        public var queueCount: Int?
        /// The guest's address and the size of its network, as `10.88.0.2/24`, which the default guest takes.
        public var address: String?
        /// The address of the guest's router.
        public var gateway: String?
        /// The name server that the guest asks: an address, or `none`.
        public var nameServer: String?
        /// Ports of the host that lead to the guest of a ``Backend-swift.enum/user``: `[IP:]HOST:GUEST[/tcp|udp]`.
        @DefaultWhenAbsent public var forwards: [String]
        /// Indicates whether the router of a ``Backend-swift.enum/user`` leads to services of the host's own loopback
        /// interface.
        @DefaultWhenAbsent public var hasHostLoopback: Bool

        enum CodingKeys: String, CodingKey {
            case backend, path
            case descriptors = "fd"
            case queueCount = "queues"
            case address, gateway
            case nameServer = "dns"
            case forwards
            case hasHostLoopback = "host_loopback"
        }

        /// Makes the usual settings.
        public init() {}
    }

    /// Indicates whether a guest's address may be that of a group, which Firecracker takes.
    package var takesGroupAddresses = false

    enum CodingKeys: String, CodingKey {
        case id = "iface_id"
        case hostDeviceName = "host_dev_name"
        case guestMAC = "guest_mac"
        case mtu
        case receiveRateLimit = "rx_rate_limiter"
        case sendRateLimit = "tx_rate_limiter"
        case martlet
    }

    /// The packet sizes that a guest can learn of.
    public static let mtus = 68...65_535
    /// The numbers of queues that an interface may have.
    public static let queueCounts = 1...8

    /// Describes an interface on a TAP of the host's; nothing is opened yet.
    ///
    /// - Parameters:
    ///   - id: The name of the interface in the API.
    ///   - hostDeviceName: The TAP.
    public init(_ id: String, hostDeviceName: String = "") {
        self.id = id
        self.hostDeviceName = hostDeviceName
    }

    /// The kind of its other end.
    public var backend: Backend {
        get { martlet?.backend ?? .tap }
        set { martlet[setting: \.backend] = newValue == .tap ? nil : newValue }
    }

    /// The socket of a ``Backend-swift.enum/stream`` or ``Backend-swift.enum/datagram``.
    public var path: String? {
        get { martlet?.path }
        set { martlet[setting: \.path] = newValue }
    }

    /// The descriptors of a ``Backend-swift.enum/fd``, one for each queue.
    public var descriptors: [Int] {
        get { martlet?.descriptors ?? [] }
        set { martlet[setting: \.descriptors] = newValue }
    }

    /// The guest's address and the size of its network; `nil` for `169.254.2.15/24` of a ``Backend-swift.enum/user``, which no
    /// other network has (`169.254.3.15/24` of the second one, and so on), and for none else.
    public var address: String? {
        get { martlet?.address }
        set { martlet[setting: \.address] = newValue }
    }

    /// The address of the guest's router; `nil` for `169.254.2.2`, or another one in ``address``, of a
    /// ``Backend-swift.enum/user``, and for none else.
    public var gateway: String? {
        get { martlet?.gateway }
        set { martlet[setting: \.gateway] = newValue }
    }

    /// The name server that the guest asks: an address, `none`, or `nil`: then a ``Backend-swift.enum/user`` asks the host's.
    public var nameServer: String? {
        get { martlet?.nameServer }
        set { martlet[setting: \.nameServer] = newValue }
    }

    /// Ports of the host that lead to the guest of a ``Backend-swift.enum/user``: `[IP:]HOST:GUEST[/tcp|udp]`.
    public var forwards: [String] {
        get { martlet?.forwards ?? [] }
        set { martlet[setting: \.forwards] = newValue }
    }

    /// Indicates whether the router of a ``Backend-swift.enum/user`` leads to services of the host's own loopback interface.
    public var hasHostLoopback: Bool {
        get { martlet?.hasHostLoopback ?? false }
        set { martlet[setting: \.hasHostLoopback] = newValue }
    }

    /// The number of queues.
    public var queueCount: Int {
        get { martlet?.queueCount ?? 1 }
        set { martlet[setting: \.queueCount] = newValue == 1 ? nil : newValue }
    }

    /// Checks the interface.
    ///
    /// - Throws: ``ConfigurationError``, which names the wrong field.
    package func validate(at place: String = "network-interface") throws(ConfigurationError) {
        try id.validateAsIdentifier(at: "\(place).iface_id")
        // IFNAMSIZ, with the null byte behind the name.
        guard backend != .tap || hostDeviceName.utf8.count < 16 else {
            throw ConfigurationError(
                "\(place).host_dev_name",
                "Could not create the network device: the name of a TAP has at most 15 bytes, not '\(hostDeviceName)'"
            )
        }
        if let mtu, !Self.mtus.contains(mtu) {
            throw ConfigurationError("\(place).mtu", "must be 68 to 65535, not \(mtu)")
        }
        if let guestMAC, !Self.isAddress(guestMAC, ofGroup: takesGroupAddresses) {
            throw ConfigurationError(
                "\(place).guest_mac",
                "must be six bytes such as 06:00:AC:10:00:02, the first one even, not '\(guestMAC)'"
            )
        }
        guard Self.queueCounts.contains(queueCount) else {
            throw ConfigurationError("\(place).martlet.queues", "must be 1 to 8, not \(queueCount)")
        }
        guard descriptors.allSatisfy({ 3...Int(Int32.max) ~= $0 }) else {
            throw ConfigurationError("\(place).martlet.fd", "must be descriptors, each 3 or more")
        }
        try path?.validateAsPath(at: "\(place).martlet.path")
        _ = try guestAddresses(at: place)
        _ = try portForwards(at: place)
    }

    /// Checks that the other end is described as its kind needs it.
    ///
    /// - Throws: ``ConfigurationError``, which names the wrong field.
    package func validateAttachment(at place: String) throws(ConfigurationError) {
        switch backend {
        case .tap:
            guard !hostDeviceName.isEmpty else {
                throw ConfigurationError("\(place).host_dev_name", "must be the name of a TAP interface, and is empty")
            }
        case .user: break
        case .fd:
            guard !descriptors.isEmpty, descriptors.allSatisfy({ $0 > 2 }) else {
                throw ConfigurationError("\(place).martlet.fd", "must be descriptors, each 3 or more")
            }
        case .stream, .datagram:
            guard path?.isEmpty == false else {
                throw ConfigurationError("\(place).martlet.path", "must be the path of a socket, and is missing")
            }
        }
        guard queueCount == 1 || backend == .tap else {
            throw ConfigurationError("\(place).martlet.queues", "only a TAP has more than one queue")
        }
        guard backend == .user || forwards.isEmpty && !hasHostLoopback else {
            throw ConfigurationError(
                "\(place).martlet.forwards",
                "only the network 'user' publishes ports; for a TAP the host's kernel does: `nft add rule ip nat prerouting tcp dport HOST dnat to GUEST:PORT`"
            )
        }
    }

    /// Checks that neither the name nor the address is another interface's.
    ///
    /// - Throws: ``ConfigurationError``, which names the wrong field.
    package func validateAsOther(
        than others: some Sequence<NetworkInterface>,
        at place: String = "network-interface"
    ) throws(ConfigurationError) {
        for other in others {
            guard other.id != id else {
                throw ConfigurationError("\(place).iface_id", "there is a network interface '\(id)' already")
            }
            guard backend != .tap || other.backend != .tap || hostDeviceName != other.hostDeviceName else {
                throw ConfigurationError(
                    "\(place).host_dev_name",
                    "Could not create the network device: the TAP '\(hostDeviceName)' is that of interface '\(other.id)'"
                )
            }
            if let guestMAC, other.guestMAC?.lowercased() == guestMAC.lowercased() {
                throw ConfigurationError("\(place).guest_mac", "The MAC address is already in use: \(guestMAC)")
            }
        }
    }

    private static func isAddress(_ text: String, ofGroup: Bool) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let bytes = parts.compactMap { $0.utf8.count == 2 ? UInt8($0, radix: 16) : nil }
        return parts.count == 6 && bytes.count == 6 && (ofGroup || bytes[0] & 1 == 0) && bytes.contains { $0 != 0 }
    }
}
