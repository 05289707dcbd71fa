// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
package import Host
package import KVM
package import LinuxBoot
package import MachineModel
package import Network
package import Snapshot
package import Storage
package import SystemPackage

/// The reason why a machine cannot be made, or could not go on.
package enum MachineError: Error, Hashable, CustomStringConvertible {
    /// The configuration asks for what cannot be.
    case configuration(ConfigurationError)
    case kvm(KVMError)
    case memory(GuestMemoryError)
    case boot(BootError)
    case storage(StorageError)
    /// The host's side of a network interface is not available.
    case network(DeviceID, NetworkError)
    /// The socket for connections of guest and host cannot be made.
    case vsock(UnixSocketError)
    /// The file for the guest's output cannot be opened.
    case consoleFile(FilePath, Errno)
    /// A snapshot cannot be saved, or this host cannot go on with it.
    case snapshot(SnapshotError)
    /// The host has no descriptor for the machine itself: its purpose, and the reason.
    case descriptor(String, Errno)
    case threads(HostThreadError)
    /// The firmware tables do not fit or devices collide: a bug of Martlet's.
    case assembly(String)
    /// A machine was started a second time.
    case startedBefore
    /// The request needs a machine that runs or is paused.
    case notRunning
    /// The request needs a machine that is paused.
    case notPaused
    /// Somebody has typed at a machine that is to be a template for others.
    case typedAt
    /// A vCPU met an instruction that neither KVM nor Martlet can execute.
    case instruction(UnsupportedInstruction)
    /// KVM gave up on a vCPU.
    case vcpuFailed(index: Int, reason: String)

    static func console(_ errno: Errno) -> MachineError { .descriptor("the console", errno) }

    package var description: String {
        switch self {
        case .configuration(let error): "\(error)"
        case .kvm(let error): "\(error)"
        case .memory(let error): "\(error)"
        case .boot(let error): "\(error)"
        case .storage(let error): "\(error)"
        case .network(let id, let error): "\(id): \(error)"
        case .vsock(let error): "vsock: \(error)"
        case .consoleFile(let path, let errno): "cannot open \(path) for the console: \(errno)"
        case .snapshot(let error): "\(error)"
        case .descriptor(let purpose, let errno): "no file descriptor for \(purpose): \(errno.inWords)"
        case .threads(let error): "\(error)"
        case .assembly(let text): "internal error: \(text)"
        case .startedBefore: "the machine was started before; create another one"
        case .notRunning: "the machine is not running: it was not started yet, or has ended"
        case .notPaused: "the machine is running: pause it first"
        case .typedAt: "somebody has typed at the machine: every machine restored from it would read that again"
        case .instruction(let instruction): "\(instruction)"
        case .vcpuFailed(let index, let reason): "vCPU \(index): \(reason)"
        }
    }
}

/// An instruction that ended a machine: its bytes, where it stands, and the registers.
package struct UnsupportedInstruction: Hashable, Sendable, CustomStringConvertible {
    package let vcpu: Int
    package let reason: String
    package let bytes: [UInt8]
    /// Names and values, in the order in which they are shown.
    package let registers: [Register]

    package struct Register: Hashable, Sendable {
        package let name: String
        package let value: UInt64
    }

    package var description: String {
        let code = bytes.isEmpty ? "not readable" : bytes.map { hex(UInt64($0), digitCount: 2) }.joined(separator: " ")
        var lines = ["vCPU \(vcpu): \(reason)", "  code: \(code)"]
        for start in stride(from: 0, to: registers.count, by: 4) {
            let row = registers[start...].prefix(4)
            lines.append("  " + row.map { "\($0.name)=\(hex($0.value, digitCount: 16))" }.joined(separator: " "))
        }
        return lines.joined(separator: "\n")
    }
}

/// `value` in hexadecimal, with zeros in front.
func hex(_ value: UInt64, digitCount: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digitCount - digits.count)) + digits
}
