// SPDX-License-Identifier: Apache-2.0

/// The ways to run a program that are compared.
package enum EnvironmentKind: String, CaseIterable, Sendable {
    /// A plain process of the host.
    case process
    /// An OCI container.
    case container
    case machine
    /// A virtual machine that is restored from a snapshot, taken before its program started.
    case restored

    /// The name that users know.
    var name: String {
        switch self {
        case .process: "process"
        case .container: "container"
        case .machine: "virtual machine"
        case .restored: "restored machine"
        }
    }

    /// Indicates whether the program has a kernel of its own.
    var isMachine: Bool { self == .machine || self == .restored }
}
