// SPDX-License-Identifier: Apache-2.0

import Host
package import SystemPackage

/// The reason why an operation of the guest's agent failed.
package enum AgentError: Error, Hashable, CustomStringConvertible {
    /// The agent says that something failed in the guest.
    case failed(Errno, String)
    /// The connection cannot be made.
    case unreachable(String)
    /// The connection ended before the answer: the guest or its machine has ended.
    case hungUp
    /// The guest sent what no agent sends.
    case malformed(String)
    /// The request has no place in a message.
    case unusable(String)
    /// A file of the host.
    case host(String)

    package var description: String {
        switch self {
        case .failed(let errno, let text): "\(printable(text)): \(errno)"
        case .unreachable(let reason): "the guest's agent cannot be reached: \(reason)"
        case .hungUp: "the guest's agent is gone: the machine or its kernel has ended"
        case .malformed(let reason): "the guest's agent broke its protocol: \(reason)"
        case .unusable(let reason), .host(let reason): reason
        }
    }

    /// Indicates whether the guest has no container of that name, or not yet.
    package var isOfMissingContainer: Bool {
        if case .failed(.noSuchProcess, let text) = self { text.hasPrefix("no such container") } else { false }
    }

    /// The exit status of a command whose program did not start: 127 where there is none, 126 where it cannot run.
    package var exitStatus: UInt8 {
        switch self {
        case .failed(.noSuchFileOrDirectory, let text) where text.hasPrefix("cannot run "): 127
        case .failed(_, let text) where text.hasPrefix("cannot run "): 126
        default: 125
        }
    }
}

/// The end of a program of the guest.
package enum WaitStatus: Hashable, Sendable {
    case exited(UInt8)
    case killed(signal: UInt8)

    init(_ raw: UInt32) {
        let signal = UInt8(raw & 0x7f)
        self = signal == 0 ? .exited(UInt8(truncatingIfNeeded: raw >> 8)) : .killed(signal: signal)
    }

    /// The status that a shell shows: 128 + the signal for a program that a signal ended.
    package var exitStatus: UInt8 {
        switch self {
        case .exited(let status): status
        case .killed(let signal): 128 | signal
        }
    }
}
