// SPDX-License-Identifier: Apache-2.0

package import Storage
package import SystemPackage
import Virtio

/// One disk of a machine: a raw image file or a block device of the host's.
package struct DiskConfiguration: Sendable {
    package var path: FilePath
    package var isReadOnly = false
    /// Whether the host's page cache is passed by (`O_DIRECT`).
    package var isDirect = false
    /// What the guest sees as the disk's serial number, at most `identifierLimit` bytes; `nil` for none.
    package var identifier: String?
    /// How input and output are done.
    package var engine = StorageEngineKind.automatic
    /// The number of virtqueues.
    package var queueCount = 1
    /// How fast the disk may be.
    package var rateLimit: RateLimit?

    package static let identifierLimit = 20

    package init(path: FilePath) {
        self.path = path
    }

    /// Checks all that can be checked without opening the file.
    ///
    /// - Parameter index: Its place among the machine's disks.
    /// - Throws: `MachineError.configuration`, which says what to change.
    func validate(asDisk index: Int) throws(MachineError) {
        func refusal(_ field: ConfigurationField.Disk, _ text: String) -> MachineError {
            .configuration(.disk(index, field), text)
        }
        guard !path.isEmpty else { throw refusal(.path, "the path of the disk is empty") }
        if let identifier {
            let byteCount = identifier.utf8.count
            guard 1...Self.identifierLimit ~= byteCount else {
                throw refusal(
                    .identifier,
                    "disk \(path): an id has 1 to \(Self.identifierLimit) bytes, '\(identifier)' has \(byteCount)"
                )
            }
            guard identifier.utf8.allSatisfy({ 0x20 < $0 && $0 < 0x7f }) else {
                throw refusal(
                    .identifier,
                    "disk \(path): an id has printable ASCII characters only, and no spaces"
                )
            }
        }
        guard BlockDevice.queueCounts.contains(queueCount) else {
            throw refusal(
                .queueCount,
                "disk \(path): a disk has 1 to \(BlockDevice.queueCounts.upperBound) queues, not \(queueCount)"
            )
        }
    }
}
