// SPDX-License-Identifier: Apache-2.0

/// The description of a machine: its parts, and the files for its output.
///
/// It is the only one. Its parts are the bodies of the API's requests, and the whole, as JSON, is a configuration file
/// and the answer to `GET /vm/config`; a machine is built from it.
///
///     var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: "vmlinux"))
///     configuration.size.vcpuCount = 2
///     configuration.drives = [Drive("root", path: "root.ext4", isRoot: true)]
public struct MachineConfiguration: Codable, Hashable, Sendable {
    /// The kernel and its parameters; a machine does not start without.
    public var bootSource: BootSource?

    /// The number of vCPUs and the size of memory.
    @DefaultWhenAbsent public var size: MachineSize

    /// The disks, in the order of their description; the guest finds the root disk first.
    @DefaultWhenAbsent public var drives: [Drive]

    /// The network interfaces: the guest calls the first one `eth0`.
    @DefaultWhenAbsent public var networkInterfaces: [NetworkInterface]

    /// The metadata service, which gives the guest data of the host; `nil` for none.
    public var metadataService: MetadataConfiguration?

    /// Connections between programs of the guest and of the host; `nil` for no such device.
    public var vsock: Vsock?

    /// A source of random numbers for the guest; `nil` for no such device.
    public var entropy: EntropySource?

    /// The output of the serial console.
    public var serial: SerialSettings?

    /// The messages of the process that runs the machine.
    public var logger: LoggerSettings?

    /// The file that counters are written to.
    public var metrics: MetricsSettings?

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case bootSource = "boot-source"
        case drives
        case size = "machine-config"
        case networkInterfaces = "network-interfaces"
        case metadataService = "mmds-config"
        case vsock, entropy, serial, logger, metrics
    }

    /// An empty description: without a kernel, the machine cannot start yet.
    public init() {}

    /// Describes a machine with one vCPU, 128 MiB of memory, an entropy device and no disk.
    ///
    /// - Parameter bootSource: The kernel and its parameters.
    public init(bootSource: BootSource) {
        self.bootSource = bootSource
        entropy = EntropySource()
    }

    /// The disks as the guest finds them: the root first.
    package var orderedDrives: [Drive] {
        drives.filter(\.isRoot) + drives.filter { !$0.isRoot }
    }

    /// Adds a disk, or changes the one with the same id.
    package mutating func set(_ drive: Drive) {
        if let index = drives.firstIndex(where: { $0.id == drive.id }) {
            drives[index] = drive
        } else {
            drives.append(drive)
        }
    }

    /// Adds a network interface, or changes the one with the same id.
    package mutating func set(_ interface: NetworkInterface) {
        if let index = networkInterfaces.firstIndex(where: { $0.id == interface.id }) {
            networkInterfaces[index] = interface
        } else {
            networkInterfaces.append(interface)
        }
    }

    /// Replaces the path of every host file.
    package mutating func mapPaths(_ change: (String) throws -> String) rethrows {
        if let path = bootSource?.kernelPath { bootSource?.kernelPath = try change(path) }
        if let path = bootSource?.initrdPath { bootSource?.initrdPath = try change(path) }
        for index in drives.indices { drives[index].path = try change(drives[index].path) }
        for index in networkInterfaces.indices {
            if let path = networkInterfaces[index].path { networkInterfaces[index].path = try change(path) }
        }
        if let path = vsock?.path { vsock?.path = try change(path) }
        if let path = serial?.outputPath { serial?.outputPath = try change(path) }
        if let path = logger?.path { logger?.path = try change(path) }
        if let path = metrics?.path { metrics?.path = try change(path) }
    }

    /// Checks everything that does not depend on the host.
    ///
    /// - Throws: ``ConfigurationError``, which names the wrong field and the right values.
    public func validate() throws(ConfigurationError) {
        guard let bootSource else { throw ConfigurationError("boot-source", "is missing") }
        try bootSource.validate()
        try size.validate()
        guard size.memoryMiB >= MachineSize.minimumMemoryMiB else {
            throw ConfigurationError(
                "machine-config.mem_size_mib",
                "a guest needs at least \(MachineSize.minimumMemoryMiB) MiB of memory, not \(size.memoryMiB) MiB"
            )
        }
        for (index, drive) in drives.enumerated() {
            try drive.validate(at: "drives[\(index)]")
            if let other = drives[..<index].first(where: { $0.id == drive.id || $0.isRoot && drive.isRoot }) {
                throw ConfigurationError(
                    "drives[\(index)]",
                    other.id == drive.id
                        ? "there is a drive '\(drive.id)' already" : "a root block device already exists: '\(other.id)'"
                )
            }
        }
        for (index, interface) in networkInterfaces.enumerated() {
            try interface.validate(at: "network-interfaces[\(index)]")
            try interface.validateAttachment(at: "network-interfaces[\(index)]")
            try interface.validateAsOther(than: networkInterfaces[..<index], at: "network-interfaces[\(index)]")
        }
        try metadataService?.validate(networkInterfaces)
        try vsock?.validate()
        try serial?.validate()
        try logger?.validate()
        try metrics?.validate()
    }
}
