// SPDX-License-Identifier: Apache-2.0

package import Devices
package import Host
package import Network
package import Storage
package import SystemPackage

/// A virtio network device (virtio 1.2, section 5.1) in front of a back end of the host.
///
/// Frames go directly between guest memory and the back end. The device drops none for lack of room: frames that the host does
/// not take wait in the driver's virtqueue, and frames that the driver has no buffers for wait in the host's kernel.
package final class NetworkDevice: QueuedDevice {
    private static let queueSize: UInt16 = 256
    /// The packet sizes that a driver can learn of (5.1.4.1).
    package static let mtus: ClosedRange<UInt16> = 68...65_535

    package let deviceID: UInt32 = 1
    package let features: VirtioFeatures
    package let queueMaximumSizes: [UInt16]
    package let address: MACAddress

    private let queues: QueueServer<NetworkHandler>
    private let link: NetworkLink
    package let mtu: UInt16?
    private let set: DescriptorSet
    private let watch: LinkWatch?
    private let process: RunningProcess?
    private let onProcessEnd: @Sendable () -> Void
    private let hostFaults: GuestFaultLog
    private let receiveKicks = EventCounter()
    private let sendKicks = EventCounter()
    private let hostEvents = EventCounter()

    package var server: any QueueServing { queues }

    /// - Parameters:
    ///   - connection: The host's side.
    ///   - address: The guest's hardware address.
    ///   - mtu: The size of the largest packet; nil for the connection's.
    ///   - receiveLimits: Limits the rate of frames for the guest.
    ///   - sendLimits: Limits the rate of frames of the guest.
    ///   - log: The log of guest errors.
    ///   - hostFaults: What goes wrong on the host.
    ///   - onProcessEnd: Called once, on the device's thread, when the program at the other end has ended.
    /// - Throws: `Errno` where the host has no descriptor left.
    package init(
        _ connection: sending NetworkConnection,
        address: MACAddress,
        mtu: UInt16? = nil,
        receiveLimits: RateLimiter? = nil,
        sendLimits: RateLimiter? = nil,
        log: GuestFaultLog = GuestFaultLog(device: "network"),
        hostFaults: GuestFaultLog,
        onProcessEnd: @escaping @Sendable () -> Void = {}
    ) throws(Errno) {
        let mtu = mtu ?? connection.mtu
        var features: VirtioFeatures = [
            .version1, .ringIndirectDescriptors, .ringEventIndex, .networkMAC, .networkStatus, .networkMergeableBuffers,
        ]
        features.formUnion(VirtioFeatures(networkOffloads: connection.offloads))
        if let mtu, Self.mtus.contains(mtu) { features.insert(.networkMTU) }
        (self.features, self.mtu, self.address) = (features, mtu, address)
        let backendCount = connection.backends.count
        queueMaximumSizes = Array(repeating: Self.queueSize, count: 2 * backendCount)
        link = NetworkLink(address: address, mtu: mtu, pairCount: backendCount)
        watch = connection.link
        (process, self.onProcessEnd) = (connection.process, onProcessEnd)
        self.hostFaults = hostFaults
        set = try DescriptorSet()
        for (index, backend) in connection.backends.enumerated() {
            try set.add(backend.descriptor, for: [.readable, .writable], token: UInt64(index))
            if let frames = backend.ownFrames {
                try set.add(frames.descriptor, for: .readable, token: UInt64(index) | Self.ownFramesToken)
            }
        }
        if let watch { try set.add(watch.descriptor, for: .readable, token: Self.watchToken) }
        if let process { try set.add(process.descriptor, for: .readable, token: Self.processToken) }
        let handler = NetworkHandler(
            connection.backends,
            address: address,
            link: link,
            log: log,
            hostFaults: hostFaults
        )
        queues = try QueueServer(
            handler,
            queueCount: queueMaximumSizes.count,
            limiters: [receiveLimits, sendLimits]
        )
    }

    // MARK: - Events

    private static let watchToken = UInt64.max
    private static let processToken = UInt64.max - 1
    /// Beside the number of the back end.
    private static let ownFramesToken: UInt64 = 1 << 32

    package var eventSources: [EventLoop.Source] {
        queues.eventSources + [EventLoop.Source(set.descriptor) { [self] in handleEvents() }]
    }

    private func handleEvents() {
        set.takeEvents { event in
            guard event.token != Self.watchToken else { return lookAtLink() }
            guard event.token != Self.processToken else { return endWithProcess() }
            let index = Int(event.token & ~Self.ownFramesToken)
            guard event.token & Self.ownFramesToken == 0 else { return queues.processQueue(2 * index) }
            hostEvents.add()
            if event.isWritable { queues.resume() }
            // The next read finds a hang-up.
            queues.processQueue(2 * index)
        }
    }

    /// Gives the guest what the program has sent, then ends the link: a guest that reads nothing learns of it, too.
    private func endWithProcess() {
        if let process { set.remove(process.descriptor) }
        queues.processQueue(0)
        queues.withQueues { handler, queues in handler.end(.passtEnded, &queues) }
        onProcessEnd()
    }

    private func lookAtLink() {
        guard let watch else { return }
        let state = watch.takeState()
        let isNews = queues.whileLocked { handler, queues in
            // A guest that gives no buffers would not find out by a read.
            if state == .gone { handler.end(.interfaceDeleted(watch.name), &queues) }
            return link.set(isUp: state == .up, queues.interrupt)
        }
        guard isNews, state == .down else { return }
        let name = watch.name
        hostFaults.record("interface \(name) is down, and so is the guest's link until `ip link set \(name) up`")
    }

    package func processQueue(_ index: Int) {
        (index & 1 == 0 ? receiveKicks : sendKicks).add()
        queues.processQueue(index)
    }

    // MARK: - The transport's side

    package func readConfiguration(at offset: UInt64, into data: inout MutableRawSpan) {
        link.read(at: offset, into: &data)
    }

    package func accept(_ features: VirtioFeatures) throws(FeatureRefusal) {
        if let problem = features.networkProblem { throw FeatureRefusal(problem) }
    }

    package func activate(_ context: ActivationContext) throws(VirtqueueFault) {
        let mtu = mtu
        let error: NetworkError? = queues.whileLocked { handler, _ in
            do throws(NetworkError) {
                try handler.start(context.features, mtu: mtu)
                return nil
            } catch {
                return error
            }
        }
        if let error { throw .malformedRequest("\(error)") }
        try queues.activate(context)
        // The set does not report earlier events. The device's thread finds the data: the transport kicks it.
        lookAtLink()
    }

    /// Notifies the driver of a new host side: it checks whether there is a link.
    package func restore(_ state: VirtioDeviceState) { queues.notifyConfigurationChange() }

    // MARK: - The machine's side

    /// The device's counters so far.
    package var statistics: NetworkStatistics {
        var statistics = queues.read { handler in handler.statistics }
        statistics.receiveKicks = receiveKicks.count
        statistics.sendKicks = sendKicks.count
        statistics.hostEvents = hostEvents.count
        return statistics
    }

    /// Limits the rates from now on.
    ///
    /// - Parameters:
    ///   - receive: For frames to the guest; `nil` leaves it as it is, an inner `nil` is no limit.
    ///   - send: For frames of the guest.
    package func setLimits(receive: RateLimiter??, send: RateLimiter??) {
        if let receive { queues.setLimiter(receive, at: NetworkHandler.receiveLimiter) }
        if let send { queues.setLimiter(send, at: NetworkHandler.sendLimiter) }
    }
}
