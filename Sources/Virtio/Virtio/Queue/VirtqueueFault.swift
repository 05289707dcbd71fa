// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// A driver's mistake that leaves its device unusable until it is reset (virtio 1.2, 2.7).
package enum VirtqueueFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// The size is not a power of two from 1 to 32768 (2.7).
    case badSize(UInt16)
    /// A ring is not aligned, not in one piece of RAM, or in another ring's place (2.7.5, 2.7.6, 2.7.8).
    case badRing(Ring, GuestAddress)
    /// The available index is further ahead than the queue is long (2.7.6).
    case badAvailableIndex(UInt16, next: UInt16)
    /// More buffers are out than there are descriptors.
    case tooManyBuffers
    /// An index is beyond the end of the descriptor table (2.7.5).
    case badDescriptorIndex(UInt16)
    /// A chain is longer than the queue, as one with a loop is (2.7.5).
    case endlessChain
    /// A chain has 4 GiB or more (2.7.5).
    case chainTooLarge
    /// A part that the device may read follows one that it may write (2.7.4.2).
    case readableAfterWritable
    /// A descriptor does not point to RAM.
    case badAddress(GuestRange)
    /// An indirect table that is empty, odd, nested, not negotiated or not the last of its chain (2.7.5.3).
    case badIndirectTable(GuestRange)
    /// A buffer that is not a request for the device.
    case malformedRequest(String)

    /// The three parts of a split virtqueue.
    package enum Ring: String, Hashable, Sendable {
        case descriptorTable = "descriptor table"
        case availableRing = "available ring"
        case usedRing = "used ring"
    }

    package var description: String {
        switch self {
        case .badSize(let size): "\(size) is not a valid virtqueue size"
        case .badRing(let ring, let address): "the \(ring.rawValue) cannot be at \(address)"
        case .badAvailableIndex(let index, let next): "the available index went from \(next) to \(index)"
        case .tooManyBuffers: "more buffers are available than there are descriptors"
        case .badDescriptorIndex(let index): "there is no descriptor \(index)"
        case .endlessChain: "a descriptor chain is longer than its virtqueue"
        case .chainTooLarge: "a descriptor chain has 4 GiB or more"
        case .readableAfterWritable: "a descriptor chain has readable parts after writable ones"
        case .badAddress(let range): "\(range.byteCount) bytes at \(range.address) are not all guest memory"
        case .badIndirectTable(let range):
            "an indirect table of \(range.byteCount) bytes at \(range.address) is not valid"
        case .malformedRequest(let text): text
        }
    }
}
