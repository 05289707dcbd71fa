// SPDX-License-Identifier: Apache-2.0

/// Everything that a snapshot must keep of a virtio device, besides its transport.
package struct VirtioDeviceState: Codable, Hashable, Sendable {
    /// The positions of its virtqueues.
    package var queues: QueueServerState
    /// The state of a block device; `nil` for other devices.
    package var block: BlockDeviceState?
    /// The state of a vsock device; `nil` for other devices.
    package var vsock: VsockDeviceState?

    package init(
        queues: QueueServerState = QueueServerState(),
        block: BlockDeviceState? = nil,
        vsock: VsockDeviceState? = nil
    ) {
        (self.queues, self.block, self.vsock) = (queues, block, vsock)
    }
}

/// Everything that a snapshot must keep of a block device, besides its virtqueues.
///
/// The rate limits begin with full buckets, and the counters anew.
package struct BlockDeviceState: Codable, Hashable, Sendable {
    /// The capacity that the driver knows, in sectors.
    package var capacity: UInt64
    package var isWriteback: Bool
    /// The errno of a failed flush that no driver has learned of; 0 for none.
    package var untoldFlushFailure: Int32
}

/// Everything that a snapshot must keep of a vsock device, besides its virtqueues: no connection outlives it.
package struct VsockDeviceState: Codable, Hashable, Sendable {
    /// The port that the next connection from the host gets: the guest may still know the ones before.
    package var nextHostPort: UInt32
}
