// SPDX-License-Identifier: Apache-2.0

import JSON
package import Machine
package import SystemPackage

/// The source of a new machine's configuration: requests to its monitor, or a file.
package struct MachineSource {
    /// What is sent to the monitor, in order, before the machine starts.
    var requests: () throws(RegistryError) -> [MachineConfiguration.Request]
    /// A file that the monitor reads.
    var file: FilePath?
    /// What the monitor inherits besides.
    var inherited: [FileDescriptor] = []

    /// A configuration.
    ///
    /// - Parameters:
    ///   - configuration: What the machine is made of.
    ///   - inherited: Descriptors that the configuration names by `MonitorProcess.path(ofInherited:)`.
    /// - Returns: The source.
    package static func configuration(
        _ configuration: MachineConfiguration,
        inherited: [FileDescriptor] = []
    ) -> MachineSource {
        MachineSource(
            requests: { () throws(RegistryError) in try configuration.requests() },
            inherited: inherited
        )
    }

    /// A file as Firecracker's `--config-file` has it.
    package static func file(_ path: FilePath) -> MachineSource {
        MachineSource(requests: { () throws(RegistryError) in [] }, file: path.absolute)
    }

    /// The same, with the guest's output written to a file besides.
    package func sendingConsole(to path: FilePath) -> MachineSource {
        var copy = self
        copy.requests = { [requests] () throws(RegistryError) in
            try requests() + [.init(path: "/serial", body: ["serial_out_path": .string(path.absolute.string)])]
        }
        return copy
    }
}
