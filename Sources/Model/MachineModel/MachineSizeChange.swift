// SPDX-License-Identifier: Apache-2.0

/// The body of `PATCH /machine-config`: new values for some fields of a machine's size.
package struct MachineSizeChange: Codable, Hashable, Sendable {
    var vcpuCount: Int?
    var requestedMiB: UInt64?
    var isSimultaneousMultithreaded: Bool?
    var tracksDirtyPages: Bool?
    package var cpuTemplate: MachineSize.CPUTemplate?
    var hugePages: MachineSize.HugePages?
    var martlet: Extensions?

    struct Extensions: Codable, Hashable, Sendable {
        var hasExitStatusPort: Bool?
        var hasSnapshotPoint: Bool?

        enum CodingKeys: String, CodingKey {
            case hasExitStatusPort = "exit_status_port"
            case hasSnapshotPoint = "snapshot_point"
        }
    }

    typealias CodingKeys = MachineSize.CodingKeys

    /// Indicates whether the change says nothing.
    package var isEmpty: Bool { self == Self() }

    package func apply(to size: inout MachineSize) {
        size.vcpuCount = vcpuCount ?? size.vcpuCount
        size.requestedMiB = requestedMiB ?? size.requestedMiB
        size.isSimultaneousMultithreaded = isSimultaneousMultithreaded ?? size.isSimultaneousMultithreaded
        size.tracksDirtyPages = tracksDirtyPages ?? size.tracksDirtyPages
        size.cpuTemplate = cpuTemplate ?? size.cpuTemplate
        size.hugePages = hugePages ?? size.hugePages
        size.hasSnapshotPoint = martlet?.hasSnapshotPoint ?? size.hasSnapshotPoint
        size.hasExitStatusPort = martlet?.hasExitStatusPort ?? size.hasExitStatusPort
    }
}
