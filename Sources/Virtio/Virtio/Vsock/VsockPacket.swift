// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// The header of each packet, `struct virtio_vsock_hdr` (virtio 1.2, 5.10.6).
package struct VsockPacket: Hashable, Sendable {
    package static let headerByteCount = 44
    /// A connection of bytes, the only type that is offered.
    package static let streamType: UInt16 = 1
    /// The address of the host (5.10.4).
    package static let hostCID: UInt64 = 2

    package enum Operation: UInt16, Sendable {
        case request = 1
        case response = 2
        case reset = 3
        case shutdown = 4
        case readWrite = 5
        case creditUpdate = 6
        case creditRequest = 7
    }

    /// The directions that the sender of a shutdown closes.
    package struct Shutdown: OptionSet, Hashable, Sendable {
        package let rawValue: UInt32

        package init(rawValue: UInt32) { self.rawValue = rawValue }

        package static let receive = Self(rawValue: 1)
        package static let send = Self(rawValue: 2)
        package static let both: Self = [.receive, .send]
    }

    package var sourceCID: UInt64 = 0
    package var destinationCID: UInt64 = 0
    package var sourcePort: UInt32 = 0
    package var destinationPort: UInt32 = 0
    /// The size of the data after the header.
    package var byteCount: UInt32 = 0
    package var type = VsockPacket.streamType
    /// An `Operation`, or anything that a driver writes.
    package var operation: UInt16 = 0
    package var flags: UInt32 = 0
    /// The number of bytes that the sender can hold, and the number that it has passed on so far.
    package var bufferByteCount: UInt32 = 0
    package var forwardedCount: UInt32 = 0

    package init() {}

    /// Reads the header in front of a packet; zeros where it ends early.
    init(_ ranges: [GuestRange], in memory: GuestMemory) {
        (sourceCID, destinationCID) = memory.words(of: ranges, at: 0)
        let (ports, kind) = memory.words(of: ranges, at: 16)
        sourcePort = UInt32(truncatingIfNeeded: ports)
        destinationPort = UInt32(truncatingIfNeeded: ports >> 32)
        byteCount = UInt32(truncatingIfNeeded: kind)
        type = UInt16(truncatingIfNeeded: kind >> 32)
        operation = UInt16(truncatingIfNeeded: kind >> 48)
        let (first, second) = memory.words(of: ranges, at: 32)
        flags = UInt32(truncatingIfNeeded: first)
        bufferByteCount = UInt32(truncatingIfNeeded: first >> 32)
        forwardedCount = UInt32(truncatingIfNeeded: second)
    }

    /// Writes the header to `bytes`, which has room for it.
    func write(to bytes: inout [UInt8]) {
        func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
            for index in 0..<T.bitWidth / 8 {
                bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index))
            }
        }
        put(sourceCID, at: 0)
        put(destinationCID, at: 8)
        put(sourcePort, at: 16)
        put(destinationPort, at: 20)
        put(byteCount, at: 24)
        put(type, at: 28)
        put(operation, at: 30)
        put(flags, at: 32)
        put(bufferByteCount, at: 36)
        put(forwardedCount, at: 40)
    }
}
