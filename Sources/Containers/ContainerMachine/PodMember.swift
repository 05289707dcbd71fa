// SPDX-License-Identifier: Apache-2.0

import GuestAgent
package import JSON

/// The place of a container in its pod, as martlet-runtime describes it to the container's process.
package struct PodMember: Hashable, Sendable {
    /// The name of the container in the guest.
    package let name: String
    private let sharesProcesses: Bool
    private let sharesIPC: Bool

    /// - Parameter description: By martlet-runtime; null for a container that is in no pod.
    package init?(_ description: JSONValue) {
        guard let name = description["name"].string else { return nil }
        self.name = name
        sharesProcesses = description["shares_processes"] == true
        sharesIPC = description["shares_ipc"] == true
    }

    /// Makes a container a member of the pod: its shared namespaces, and its limits in the guest.
    func apply(_ configuration: JSONValue, to container: inout GuestContainer) {
        let resources = configuration["linux"]["resources"]
        func limit(_ value: JSONValue) -> UInt64 { UInt64(max(0, value.integerValue ?? 0)) }
        var membership = GuestContainer.Membership()
        (membership.sharesProcesses, membership.sharesIPC) = (sharesProcesses, sharesIPC)
        membership.memoryLimit = limit(resources["memory"]["limit"])
        membership.processLimit = limit(resources["pids"]["limit"])
        membership.cpuQuota = limit(resources["cpu"]["quota"])
        membership.cpuPeriod = limit(resources["cpu"]["period"])
        container.name = name
        container.membership = membership
        guard sharesIPC else { return }
        // All containers of the pod share the guest's own /dev/shm.
        for index in container.mounts.indices {
            guard case .fileSystem("tmpfs", _, let target, _, _) = container.mounts[index], target == "/dev/shm" else {
                continue
            }
            container.mounts[index] = .fileSystem(
                type: "",
                source: target,
                target: target,
                flags: 4096,  // MS_BIND
                options: ""
            )
        }
    }
}
