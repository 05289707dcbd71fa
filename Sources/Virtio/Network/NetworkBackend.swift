// SPDX-License-Identifier: Apache-2.0

package import Host
package import SystemPackage

/// A way for Ethernet frames out of this process and into it: one queue of it.
///
/// Not for two threads at once. No call waits. A frame of which a back end has taken a part arrives as a whole, whatever
/// happens to the device in between.
package protocol NetworkBackend: AnyObject {
    /// Readable when a frame has come, writable when there is place again; stays open as long as the back end.
    var descriptor: FileDescriptor { get }
    /// Indicates whether a header of 12 bytes precedes each frame in both directions, which describes unfinished checksums and segments.
    ///
    /// The kernel's `struct virtio_net_hdr_v1`; its last field, the number of buffers, is nobody's but the receiver's.
    var hasOffloadHeader: Bool { get }

    /// Signalled when the back end itself has a frame for the guest; `nil` where all frames come from `descriptor`.
    var ownFrames: EventFD? { get }

    /// Sets the offloads that the receiver accepts; none at first.
    ///
    /// - Parameter offloads: Consistent ones that the connection offers.
    /// - Throws: `NetworkError`.
    func setOffloads(_ offloads: NetworkOffloads) throws(NetworkError)
    /// Sends a frame, or keeps it for `flush`.
    ///
    /// - Parameter frame: The frame, with its header where there is one; used up unless it must wait.
    /// - Returns: Whether it was taken.
    func send(_ frame: inout FrameVectors) -> NetworkSending
    /// Sends frames that were taken and are still here: at the end of each turn, and once the descriptor has become writable.
    func flush() -> NetworkSending
    /// Receives a frame.
    ///
    /// - Parameter frame: The place for it, and for its header where there is one; it stays as it is.
    /// - Returns: Whether there was one, and its size.
    func receive(into frame: inout FrameVectors) -> NetworkReceiving
}

extension NetworkBackend {
    package var ownFrames: EventFD? { nil }
}

/// The sizes of frames.
package enum NetworkFrame {
    /// The size of the header that describes a frame's offloads.
    package static var headerByteCount: Int { 12 }
    /// Two addresses and a type.
    package static var minimumByteCount: Int { 14 }
    /// The largest frame: 64 KiB of IP, its Ethernet header and two VLAN tags, rounded up.
    package static var maximumByteCount: Int { 65_550 }
}

/// The result of sending a frame.
package enum NetworkSending: Equatable {
    case sent
    /// There is no place now: the frame is as it was, and the descriptor becomes writable.
    case full
    /// The frame is lost, as on any network.
    case dropped(Errno)
    /// The other end is gone for good.
    case closed(NetworkError)
}

/// The result of receiving a frame.
package enum NetworkReceiving: Equatable {
    /// The size of the received frame, its header included.
    case frame(byteCount: Int)
    /// Nothing is there: the descriptor becomes readable.
    case empty
    /// Something other than a frame came, or a frame without a place; it is lost.
    case dropped
    /// The other end is gone for good.
    case closed(NetworkError)
}
