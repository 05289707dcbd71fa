// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// The reason why a comparison, or a part of it, did not come about.
package enum ComparisonError: Error, Hashable, CustomStringConvertible {
    /// The user or the system asked for the end; everything that was started has been removed.
    case interrupted(signal: CInt)
    /// A system call failed.
    case system(operation: String, errno: Errno)
    /// Something took longer than it may.
    case late(String)
    /// A program did not do what it was started for.
    case unexpected(String)

    package var description: String {
        switch self {
        case .interrupted(let signal): "ended by signal \(signal)"
        case .system(let operation, let errno): "\(operation): \(errno)"
        case .late(let what): "waited too long for \(what)"
        case .unexpected(let what): what
        }
    }
}
