// SPDX-License-Identifier: Apache-2.0

/// The size of a machine: `/machine-config` of the API.
public struct MachineSize: HasDefault, Sendable {
    /// The number of vCPUs, in ``vcpuCounts``.
    public var vcpuCount: Int

    /// The size of guest memory in MiB, at least ``minimumMemoryMiB``; the host gives it as the guest touches it.
    public var memoryMiB: Int {
        get { Int(clamping: requestedMiB) }
        set { requestedMiB = UInt64(clamping: newValue) }
    }

    /// The same, as it was asked for: it may be any number before the start.
    package var requestedMiB: UInt64

    /// The size of the host's pages behind guest memory; `nil` for ``HugePages/none``.
    @DefaultWhenAbsent public var hugePages: HugePages

    /// Indicates whether two vCPUs are the threads of one core, as Firecracker's `smt` says; else each is a core of its own.
    @DefaultWhenAbsent package var isSimultaneousMultithreaded: Bool

    // Firecracker's clients set these by default; here they are without effect. Each vCPU has the features of the host's that a
    // guest can have.
    @DefaultWhenAbsent package var tracksDirtyPages: Bool
    package var cpuTemplate: CPUTemplate?

    /// Settings that Firecracker does not have.
    public var martlet: Extensions?

    /// The host's pages behind guest memory.
    public enum HugePages: String, CaseIterable, HasDefault, Sendable {
        /// Pages of 4 KiB, or transparent huge pages where the host has them.
        case none = "None"
        /// The same.
        case transparent = "Transparent"
        /// Pages of hugetlbfs, which Martlet does not offer.
        case explicit = "2M"

        /// Makes ``none``.
        public init() { self = .none }
    }

    /// The CPU templates of Firecracker: names of sets of CPU features that guests are to have on all hosts.
    package enum CPUTemplate: String, Codable, CaseIterable, Sendable {
        case c3 = "C3"
        case t2 = "T2"
        case t2s = "T2S"
        case none = "None"
        case t2cl = "T2CL"
        case t2a = "T2A"
        case v1n1 = "V1N1"

        /// The vendor of the processors that the template is for, as CPUID names it; `nil` for any.
        package var vendor: String? {
            switch self {
            case .c3, .t2, .t2s, .t2cl: "GenuineIntel"
            case .t2a: "AuthenticAMD"
            case .none, .v1n1: nil
            }
        }
    }

    /// Settings of a machine's size that Firecracker does not have.
    public struct Extensions: HasDefault, Sendable {
        /// Indicates whether the guest can end the machine with a status of its own, by a write of one byte to I/O port 0x501.
        @DefaultWhenAbsent public var hasExitStatusPort: Bool

        /// Indicates whether the guest takes part in snapshots, as the default guest does: it learns when the machine is
        /// saved and when it continues as another one; `nil` for no.
        public var hasSnapshotPoint: Bool?

        enum CodingKeys: String, CodingKey {
            case hasExitStatusPort = "exit_status_port"
            case hasSnapshotPoint = "snapshot_point"
        }

        /// Makes the usual settings.
        public init() {}
    }

    enum CodingKeys: String, CodingKey {
        case vcpuCount = "vcpu_count"
        case requestedMiB = "mem_size_mib"
        case isSimultaneousMultithreaded = "smt"
        case tracksDirtyPages = "track_dirty_pages"
        case cpuTemplate = "cpu_template"
        case hugePages = "huge_pages"
        case martlet
    }

    /// The numbers of vCPUs that a machine may have.
    public static let vcpuCounts = 1...32

    /// The least memory of a machine, in MiB.
    public static let minimumMemoryMiB = 16

    /// The most memory that a description may ask for, in MiB: the addresses of x86-64 end there.
    public static let maximumMemoryMiB = 1 << 32

    /// Describes one vCPU and 128 MiB.
    public init() {
        self.init(vcpuCount: 1, memoryMiB: 128)
    }

    /// Describes a size.
    ///
    /// - Parameters:
    ///   - vcpuCount: The number of vCPUs.
    ///   - memoryMiB: The size of guest memory in MiB.
    public init(vcpuCount: Int, memoryMiB: Int) {
        (self.vcpuCount, requestedMiB) = (vcpuCount, UInt64(clamping: memoryMiB))
    }

    /// Indicates whether the guest can end the machine with a status of its own, by a write of one byte to I/O port 0x501.
    public var hasExitStatusPort: Bool {
        get { martlet?.hasExitStatusPort ?? false }
        set { martlet[setting: \.hasExitStatusPort] = newValue }
    }

    /// Indicates whether the guest takes part in snapshots, as the default guest does.
    public var hasSnapshotPoint: Bool {
        get { martlet?.hasSnapshotPoint ?? false }
        set { martlet[setting: \.hasSnapshotPoint] = newValue ? true : nil }
    }

    /// The size of guest memory in bytes.
    package var memoryByteCount: UInt64 { requestedMiB << 20 }

    /// Checks the size, but for more memory than a host can have: its start fails.
    ///
    /// - Throws: ``ConfigurationError``, which names the wrong field.
    package func validate(at path: String = "machine-config") throws(ConfigurationError) {
        guard Self.vcpuCounts.contains(vcpuCount) else {
            throw ConfigurationError(
                "\(path).vcpu_count",
                "must be 1 to \(Self.vcpuCounts.upperBound), not \(vcpuCount)"
            )
        }
        guard requestedMiB > 0 else {
            throw ConfigurationError("\(path).mem_size_mib", "must be at least \(Self.minimumMemoryMiB) MiB, not 0")
        }
        guard !isSimultaneousMultithreaded || vcpuCount == 1 || vcpuCount % 2 == 0 else {
            throw ConfigurationError("\(path).smt", "needs one vCPU, or an even number of them, not \(vcpuCount)")
        }
        if hugePages == .explicit { throw .notOffered("\(path).huge_pages", "hugetlbfs pages") }
    }
}

extension Optional where Wrapped: HasDefault {
    /// A setting among extensions, which are there only while one of them differs from its default.
    subscript<Value>(setting path: WritableKeyPath<Wrapped, Value>) -> Value {
        get { (self ?? Wrapped())[keyPath: path] }
        set {
            var extensions = self ?? Wrapped()
            extensions[keyPath: path] = newValue
            self = extensions == Wrapped() ? nil : extensions
        }
    }
}
