// SPDX-License-Identifier: Apache-2.0

import Machine
import Storage
import SystemPackage

/// A disk of a machine: a raw image file, or a block device of the host's.
public struct DiskImageConfiguration: Hashable, Sendable {
    /// How the host reads and writes a disk's file.
    public enum Engine: Hashable, Sendable, CaseIterable {
        /// `ioUring` where the host's kernel allows it, else `threads`.
        case automatic
        /// The kernel's io_uring.
        case ioUring
        /// A pool of threads that make system calls.
        case threads
    }

    /// The path of the file or block device.
    ///
    /// It is locked while the machine is there: for itself alone, or among readers where ``isReadOnly`` is set.
    public var path: String

    /// Whether the guest can only read it.
    public var isReadOnly: Bool

    /// Whether the host's page cache is passed by (`O_DIRECT`).
    public var isDirect = false

    /// What the guest sees as the disk's serial number: 1 to 20 printable ASCII characters, without spaces.
    public var identifier: String?

    /// How the host reads and writes the file.
    public var engine = Engine.automatic

    /// The number of virtqueues: more than one lets several vCPUs send requests at once.
    public var queueCount = 1

    /// How fast the disk may be; `nil` for as fast as it is.
    public var rateLimit: RateLimit?

    /// Describes a disk; no file is opened yet.
    ///
    /// - Parameters:
    ///   - path: The file or block device.
    ///   - isReadOnly: Whether the guest can only read it.
    public init(path: String, isReadOnly: Bool = false) {
        self.path = path
        self.isReadOnly = isReadOnly
    }

    func diskConfiguration(at path: FilePath) -> DiskConfiguration {
        var disk = DiskConfiguration(path: path)
        disk.isReadOnly = isReadOnly
        disk.isDirect = isDirect
        disk.identifier = identifier
        disk.engine =
            switch engine {
            case .automatic: .automatic
            case .ioUring: .ioUring
            case .threads: .threads
            }
        disk.queueCount = queueCount
        disk.rateLimit = rateLimit?.storageLimit
        return disk
    }
}
