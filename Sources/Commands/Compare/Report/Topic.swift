// SPDX-License-Identifier: Apache-2.0

/// The environments that can be compared.
package enum Topic: String, CaseIterable, Sendable {
    /// The kernel that the program runs on.
    case kernel
    /// Time to the first output and to the end.
    case startup
    /// The space that is needed on disk.
    case size
    /// The memory of the host that one instance adds.
    case memory
    /// The growth of memory with the number of instances.
    case density
    /// Work in user mode.
    case cpu
    /// Calls into the kernel.
    case syscalls
    /// Files: sync, write, read.
    case disk
    /// TCP to a server on the host: connect, request, send, receive.
    case network
    /// Attempts to see or change the host.
    case isolation

    /// Indicates whether a machine that is restored from a snapshot differs from one that booted: afterwards they are the same.
    var comparesRestoredMachines: Bool { self == .startup || self == .memory || self == .density }

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
        case .network: "Network"
        case .isolation: "Isolation"
        }
    }
}
