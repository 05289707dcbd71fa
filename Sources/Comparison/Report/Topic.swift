// SPDX-License-Identifier: Apache-2.0

/// What can be compared.
package enum Topic: String, CaseIterable, Sendable {
    case kernel
    case startup
    case size
    case memory
    case density
    case cpu
    case syscalls
    case disk
    case isolation

    var title: String {
        switch self {
        case .kernel: "Kernel"
        case .startup: "Start-up"
        case .size: "Size on disk"
        case .memory: "Memory"
        case .density: "Density"
        case .cpu: "Processor"
        case .syscalls: "System calls"
        case .disk: "Disk"
        case .isolation: "Isolation"
        }
    }
}
