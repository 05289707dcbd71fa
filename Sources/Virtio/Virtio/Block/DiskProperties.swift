// SPDX-License-Identifier: Apache-2.0

/// The properties of a disk that its driver sees.
package struct DiskProperties: Hashable, Sendable {
    /// The size; a tail of less than 512 bytes is out of the guest's reach.
    package var byteCount: UInt64
    package var isReadOnly = false
    /// The smallest unit that the disk reads and writes, in bytes: a power of two, at least 512.
    package var logicalBlockByteCount: UInt32 = 512
    /// The unit in which the disk works best, in bytes: a power of two, at least the logical block.
    package var physicalBlockByteCount: UInt32 = 512
    /// The optimal size of input and output in bytes; 0 where nobody knows.
    package var optimalIOByteCount: UInt32 = 0
    /// Indicates whether ranges can be given back, and zeroed without writing.
    package var canDiscard = false
    /// Indicates whether the driver is offered flushes; where it is not, a write is complete when the host's kernel has it.
    package var canFlush = true
    /// The disk's serial number for the driver; at most 20 bytes, the rest is cut off.
    package var identifier = ""

    package init(byteCount: UInt64) {
        self.byteCount = byteCount
    }
}
