// SPDX-License-Identifier: Apache-2.0

/// A disk of a machine, a raw image file or a block device of the host's: `/drives/{drive_id}` of the API.
public struct Drive: Codable, Hashable, Sendable {
    /// The name of the disk in the API: 1 to 64 ASCII letters, digits and underscores.
    public var id: String

    /// The path of the file or block device.
    ///
    /// It is locked while the machine is there: for itself alone, or among readers where ``isReadOnly`` is set.
    @DefaultWhenAbsent public var path: String

    /// Indicates whether the guest's root file system is on the disk; on one disk at most, which the guest finds first.
    public var isRoot: Bool

    /// The identifier of the partition with the root file system (`PARTUUID`); `nil` where it is the whole disk.
    public var partitionID: String?

    /// Indicates whether the guest can only read it.
    @DefaultWhenAbsent public var isReadOnly: Bool

    /// The cache of the disk as Firecracker has it; without effect, as a flush of the guest's always reaches the host's disk, except
    /// under the name `firecracker`.
    public var cacheType: CacheType?

    /// The way in which the host reads and writes the file; `nil` for io_uring where the host allows it, else threads.
    public var engine: Engine?

    /// The limit of its speed; `nil` for none.
    public var rateLimit: RateLimit?

    /// The socket of a vhost-user back end, which Martlet does not offer.
    package var socket: String?

    /// Settings that Firecracker does not have.
    public var martlet: Extensions?

    /// The cache of a disk.
    public enum CacheType: String, Codable, CaseIterable, Sendable {
        /// Flushes may be ignored.
        case unsafe = "Unsafe"
        /// Flushes reach the disk.
        case writeback = "Writeback"
    }

    /// The way in which the host reads and writes a disk's file.
    public enum Engine: String, Codable, CaseIterable, Sendable {
        /// The kernel's io_uring.
        case ioUring = "Async"
        /// A pool of threads that make system calls.
        case threads = "Sync"
    }

    /// Settings of a disk that Firecracker does not have.
    public struct Extensions: HasDefault, Sendable {
        /// Indicates whether the host's page cache is passed by (`O_DIRECT`).
        @DefaultWhenAbsent public var isDirect: Bool

        /// The serial number that the guest sees: 1 to 20 printable ASCII characters, without spaces.
        public var serial: String?

        /// The number of virtqueues, in ``Drive/queueCounts``; `nil` for 1.
        public var queueCount: Int?

        enum CodingKeys: String, CodingKey {
            case isDirect = "direct"
            case serial
            case queueCount = "queues"
        }

        /// Makes the usual settings.
        public init() {}
    }

    enum CodingKeys: String, CodingKey {
        case id = "drive_id"
        case path = "path_on_host"
        case isRoot = "is_root_device"
        case partitionID = "partuuid"
        case isReadOnly = "is_read_only"
        case cacheType = "cache_type"
        case engine = "io_engine"
        case rateLimit = "rate_limiter"
        case socket
        case martlet
    }

    /// The numbers of virtqueues that a disk may have.
    public static let queueCounts = 1...16
    /// The number of bytes in the longest serial number.
    public static let serialLimit = 20

    /// Describes a disk; no file is opened yet.
    ///
    /// - Parameters:
    ///   - id: The name of the disk in the API.
    ///   - path: The file or block device.
    ///   - isRoot: Whether the guest's root file system is on it.
    ///   - isReadOnly: Whether the guest can only read it.
    public init(_ id: String, path: String, isRoot: Bool = false, isReadOnly: Bool = false) {
        (self.id, self.isRoot) = (id, isRoot)
        self.path = path
        self.isReadOnly = isReadOnly
    }

    /// Indicates whether the host's page cache is passed by (`O_DIRECT`).
    public var isDirect: Bool {
        get { martlet?.isDirect ?? false }
        set { martlet[setting: \.isDirect] = newValue }
    }

    /// The serial number that the guest sees: 1 to 20 printable ASCII characters, without spaces.
    public var serial: String? {
        get { martlet?.serial }
        set { martlet[setting: \.serial] = newValue }
    }

    /// The number of virtqueues: more than one lets several vCPUs send requests at once.
    public var queueCount: Int {
        get { martlet?.queueCount ?? 1 }
        set { martlet[setting: \.queueCount] = newValue == 1 ? nil : newValue }
    }

    /// Checks the disk.
    ///
    /// - Throws: ``ConfigurationError``, which names the wrong field.
    package func validate(at place: String = "drive") throws(ConfigurationError) {
        try id.validateAsIdentifier(at: "\(place).drive_id")
        if socket != nil { throw .notOffered("\(place).socket", "vhost-user-block back ends") }
        try path.validateAsPath(at: "\(place).path_on_host")
        if isRoot, let partitionID {
            // It becomes a word of the command line.
            guard !partitionID.isEmpty, partitionID.allSatisfy({ $0.isASCII && ($0.isHexDigit || $0 == "-") }) else {
                throw ConfigurationError(
                    "\(place).partuuid",
                    "must be hexadecimal digits and hyphens, not '\(partitionID)'"
                )
            }
        }
        if let serial {
            guard 1...Self.serialLimit ~= serial.utf8.count, serial.utf8.allSatisfy({ 0x20 < $0 && $0 < 0x7f }) else {
                throw ConfigurationError(
                    "\(place).martlet.serial",
                    "must be 1 to \(Self.serialLimit) printable ASCII characters without spaces, not '\(serial)'"
                )
            }
        }
        guard Self.queueCounts.contains(queueCount) else {
            throw ConfigurationError(
                "\(place).martlet.queues",
                "must be 1 to \(Self.queueCounts.upperBound), not \(queueCount)"
            )
        }
    }
}

extension String {
    /// Checks that a text can name a part of a machine.
    func validateAsIdentifier(at place: String) throws(ConfigurationError) {
        guard !isEmpty, utf8.allSatisfy({ UnicodeScalar($0).isIdentifierCharacter }) else {
            throw ConfigurationError(
                place,
                "API Resource IDs can only contain alphanumeric characters and underscores."
            )
        }
    }
}

extension UnicodeScalar {
    fileprivate var isIdentifierCharacter: Bool {
        switch self {
        case "a"..."z", "A"..."Z", "0"..."9", "_": true
        default: false
        }
    }
}
