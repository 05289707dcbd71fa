// SPDX-License-Identifier: Apache-2.0

import GuestMemory
package import SystemPackage

/// The reason why a snapshot could not be saved or used, in words that say what to do.
package enum SnapshotError: Error, Hashable, CustomStringConvertible {
    /// A call on one of its files or folders failed.
    case file(operation: String, FilePath, Errno)
    /// There is something at its path already.
    case exists(FilePath)
    /// The path is of another kind of folder or file.
    case notASnapshot(FilePath, reason: String)
    /// It was written by a newer Martlet.
    case version(major: Int, minor: Int)
    /// Its files do not fit together, or somebody has changed them.
    case damaged(FilePath, reason: String)
    /// It has only what changed since another one.
    case differences(FilePath)
    /// A disk of the saved machine has no file.
    case drive(String, reason: String)
    /// The host's side of a network interface, or of vsock, is missing or lacks features that the guest uses.
    case device(String, reason: String)
    /// The memory was truncated while a machine ran from it.
    case truncated(FilePath)
    /// This host cannot run what another one has saved.
    case host([String])

    package var description: String {
        switch self {
        case .file(let operation, let path, let errno):
            "cannot \(operation) \(path): \(errno)"
        case .exists(let path):
            "\(path) exists already: give another name, or replace the snapshot there with --replace"
        case .notASnapshot(let path, let reason):
            "\(path) is not a snapshot: \(reason)"
        case .version(let major, let minor):
            """
            the snapshot has format \(major).\(minor), this Martlet reads \(SnapshotVersion.current.major).0 to \
            \(SnapshotVersion.current): use the Martlet that saved it, or a newer one
            """
        case .damaged(let path, let reason):
            "the snapshot is damaged: \(path): \(reason)"
        case .differences(let path):
            """
            \(path) has only what changed since another snapshot: `martlet snapshot merge` makes a whole one of the two
            """
        case .drive(let name, let reason):
            "disk \(name): \(reason)"
        case .device(let name, let reason):
            "\(name): \(reason)"
        case .truncated(let path):
            MemoryFile.truncation(of: path)
        case .host(let differences):
            "this host cannot restore the snapshot:" + differences.map { "\n  - \($0)" }.joined()
        }
    }
}

/// A version of the format of snapshots.
package struct SnapshotVersion: Hashable, Sendable, CustomStringConvertible {
    /// Changes with what an older Martlet would misunderstand.
    package var major: Int
    /// The minor version, for compatible additions.
    package var minor: Int

    /// The version that this Martlet writes.
    package static let current = Self(major: 1, minor: 2)

    package init(major: Int, minor: Int) {
        (self.major, self.minor) = (major, minor)
    }

    /// Indicates whether this Martlet can read it.
    package var isReadable: Bool { major == Self.current.major && minor <= Self.current.minor }

    package var description: String { "\(major).\(minor)" }
}
