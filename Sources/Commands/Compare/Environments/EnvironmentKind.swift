// SPDX-License-Identifier: Apache-2.0

/// The three ways to run a program that are compared.
package enum EnvironmentKind: String, CaseIterable, Sendable {
    /// A plain process of the host.
    case process
    /// An OCI container.
    case container
    /// A virtual machine.
    case machine

    /// The name that users know.
    var name: String {
        switch self {
        case .process: "process"
        case .container: "container"
        case .machine: "virtual machine"
        }
    }
}
