// SPDX-License-Identifier: Apache-2.0

/// The three ways to run a program that are compared.
package enum EnvironmentKind: String, CaseIterable, Sendable {
    case process
    case container
    case machine

    /// What users call it.
    var name: String {
        switch self {
        case .process: "process"
        case .container: "container"
        case .machine: "virtual machine"
        }
    }
}
