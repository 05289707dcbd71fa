// SPDX-License-Identifier: Apache-2.0

import Storage

/// One request of the driver's on its way through the device; made once and used again and again.
final class BlockTransfer {
    let request: StorageRequest
    var chain = DescriptorChain()
    /// The virtqueue that it came from, and goes back to.
    var queue = 0
    var kind: BlockRequestHeader.Kind?
    /// The ranges of a discard or write-zeroes request that are still to be done, last first.
    var ranges: [BlockRange] = []

    init(slot: Int) {
        request = StorageRequest(slot: slot)
    }
}
