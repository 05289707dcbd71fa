// SPDX-License-Identifier: Apache-2.0

import Host
import Machine
public import MachineModel
import SystemPackage
import Virtio

/// A disk of a machine that is there: to be resized, replaced and limited while the guest uses it.
///
/// ``VirtualMachine/storageDevices`` has one for each disk of the configuration, the root first. It keeps the disk's
/// file open, so let go of it together with the machine.
public struct StorageDevice: Sendable {
    /// The counters of a disk since its machine was made.
    public struct Statistics: Hashable, Sendable {
        /// Reads that were answered; those that failed are among them, as with all other requests.
        public var readCount: UInt64
        /// Writes that were answered.
        public var writeCount: UInt64
        /// Flushes that were answered.
        public var flushCount: UInt64
        /// Discards and write-zeroes that were answered.
        public var discardCount: UInt64
        /// The number of bytes that were read.
        public var bytesRead: UInt64
        /// The number of bytes that were written.
        public var bytesWritten: UInt64
        /// Requests that were answered with an error.
        public var failureCount: UInt64
        /// Requests that the rate limit held back.
        public var throttledCount: UInt64
    }

    private let machine: Machine.VirtualMachine
    private let disk: Disk

    init(_ machine: Machine.VirtualMachine, _ disk: Disk) {
        (self.machine, self.disk) = (machine, disk)
    }

    /// The path of the disk's file, or block device, as it is now.
    public var path: String { disk.path.hostText }

    /// Indicates whether the guest has found the disk and has a driver for it.
    public var isUsedByGuest: Bool { machine.isUsed(disk.id) }

    /// The disk's counters so far.
    public var statistics: Statistics {
        let counts = disk.statistics
        return Statistics(
            readCount: counts.reads,
            writeCount: counts.writes,
            flushCount: counts.flushes,
            discardCount: counts.discards,
            bytesRead: counts.bytesRead,
            bytesWritten: counts.bytesWritten,
            failureCount: counts.failures,
            throttledCount: counts.throttled
        )
    }

    /// Checks the file's size, and notifies the guest: after a `truncate`, for example.
    ///
    /// - Returns: Whether the size has changed.
    @discardableResult
    public func updateSize() -> Bool {
        disk.rescan()
    }

    /// Puts another file in the place of the disk's, as another cartridge in the same drive.
    ///
    /// Requests in flight are finished with the old file first. The new one is opened in the way that the
    /// configuration says; the guest learns its size and nothing else: it must read the disk again.
    ///
    /// - Parameter path: A raw image file or a block device, with the block size of the old one.
    /// - Throws: ``MartletError`` with the code ``MartletError/Code/storage``; then the disk stays as it is.
    public func replaceImage(with path: String) throws(MartletError) {
        // A NUL would end the path early, and name another file.
        guard !path.utf8.contains(0) else {
            throw MartletError(.storage, "the path \(path.debugDescription) contains a NUL")
        }
        try inPublicTerms { () throws(MachineError) in try disk.replaceFile(by: FilePath(hostText: path)) }
    }

    /// Limits how fast the disk is from now on.
    ///
    /// - Parameter limit: `nil` for no limit.
    public func setRateLimit(_ limit: RateLimit?) {
        disk.setRateLimit(limit)
    }
}
