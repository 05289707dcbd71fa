// SPDX-License-Identifier: Apache-2.0

package import Host
package import MachineModel
package import Network
package import SystemPackage

/// A way of frames out of the process, and the metadata service before it: the guest's frames for the service's address go no
/// further.
package final class MetadataBackend: NetworkBackend {
    private let base: any NetworkBackend
    private var network: MetadataNetwork
    private let arrival: EventFD
    /// The first bytes of the frame that is being sent.
    private var head: [UInt8] = []
    private let headerByteCount: Int
    /// Indicates whether `arrival` was signalled: to take it costs a system call.
    private var hasArrival = false

    /// - Parameters:
    ///   - base: The way for everything else.
    ///   - address: The address of the service.
    ///   - service: The service.
    /// - Throws: `Errno` where the host has no descriptor left.
    package init(
        _ base: any NetworkBackend,
        address: IPv4Address,
        service: MetadataService
    ) throws(Errno) {
        self.base = base
        network = MetadataNetwork(address: address, service: service)
        headerByteCount = base.hasOffloadHeader ? NetworkFrame.headerByteCount : 0
        arrival = try EventFD()
    }

    package var descriptor: FileDescriptor { base.descriptor }
    package var hasOffloadHeader: Bool { base.hasOffloadHeader }
    package var ownFrames: EventFD? { arrival }

    /// A driver begins: connections of the one before are gone.
    package func setOffloads(_ offloads: NetworkOffloads) throws(NetworkError) {
        network.reset()
        try base.setOffloads(offloads)
    }

    package func send(_ frame: inout FrameVectors) -> NetworkSending {
        head.removeAll(keepingCapacity: true)
        frame.append(to: &head, from: headerByteCount, count: MetadataNetwork.headByteCount)
        guard network.isAddressed(by: head) else { return base.send(&frame) }
        var whole: [UInt8] = []
        frame.append(to: &whole, from: headerByteCount, count: NetworkFrame.maximumByteCount)
        // The guest may have changed it in between: only what was copied now counts.
        if network.isAddressed(by: whole) { network.take(whole) }
        if network.hasFrame, !hasArrival {
            hasArrival = true
            arrival.signal()
        }
        return .sent
    }

    package func flush() -> NetworkSending { base.flush() }

    package func receive(into frame: inout FrameVectors) -> NetworkReceiving {
        if hasArrival {
            hasArrival = false
            arrival.take()
        }
        guard let own = network.nextFrame() else { return base.receive(into: &frame) }
        let byteCount = headerByteCount + own.count
        // Not for a driver whose buffers are smaller than it announced.
        guard byteCount <= frame.byteCount else { return .dropped }
        let bytes = [UInt8](repeating: 0, count: headerByteCount) + own
        unsafe bytes.withUnsafeBytes { unsafe frame.copy($0) }
        return .frame(byteCount: byteCount)
    }
}
