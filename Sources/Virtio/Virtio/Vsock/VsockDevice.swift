// SPDX-License-Identifier: Apache-2.0

package import Devices
package import Host
package import SystemPackage

/// A virtio vsock device (virtio 1.2, section 5.10): connections between programs of the guest and Unix sockets of the host.
package final class VsockDevice: QueuedDevice {
    private static let queueSize: UInt16 = 256

    package let deviceID: UInt32 = 19
    package let features: VirtioFeatures = [.version1, .ringIndirectDescriptors, .ringEventIndex]
    package let queueMaximumSizes = Array(repeating: VsockDevice.queueSize, count: 3)

    private let queues: QueueServer<VsockHandler>
    private let set: DescriptorSet
    private let configuration: ConfigurationSpace
    private let listener: UnixSocket?
    private let kicks = (0..<3).map { _ in EventCounter() }

    package var server: any QueueServing { queues }

    /// - Parameters:
    ///   - guestCID: The guest's address, of 32 bits. Those that are reserved (5.10.4) are of no use, and harmless.
    ///   - path: The path of `listener`, to which the ports of the guest's connections are added; `nil` refuses these.
    ///   - listener: Listens for programs of the host; `nil` for none.
    ///   - log: The log of guest errors.
    /// - Throws: `Errno` where the host has no descriptor left.
    package init(
        guestCID: UInt64,
        path: FilePath?,
        listener: UnixSocket?,
        log: GuestFaultLog = GuestFaultLog(device: "vsock")
    ) throws(Errno) {
        precondition(guestCID <= UInt32.max, "an address has 32 bits")
        var configuration = ConfigurationSpace(byteCount: 8)
        configuration.put(guestCID, at: 0)
        self.configuration = configuration
        self.listener = listener
        set = try DescriptorSet()
        let muxer = try VsockMuxer(
            guestCID: guestCID,
            path: path,
            listener: listener,
            set: set,
            log: log
        )
        queues = try QueueServer(VsockHandler(muxer), queueCount: 3)
    }

    // MARK: - Events

    package var eventSources: [EventLoop.Source] {
        // The server may go on with work that has answers for the guest, or `endConnections` has woken it.
        queues.eventSources.map { source in
            EventLoop.Source(source.descriptor) { [self] in
                source.handle()
                queues.processQueue(VsockHandler.eventQueue)
                queues.processQueue(VsockHandler.receiveQueue)
            }
        } + [EventLoop.Source(set.descriptor) { [self] in handleEvents() }]
    }

    private func handleEvents() {
        set.takeEvents { event in
            queues.withQueues { handler, _ in handler.muxer.handle(event) }
        }
        queues.processQueue(VsockHandler.receiveQueue)
    }

    package func processQueue(_ index: Int) {
        guard kicks.indices.contains(index) else { return }
        kicks[index].add()
        queues.processQueue(index)
        if index != VsockHandler.receiveQueue { queues.processQueue(VsockHandler.receiveQueue) }
    }

    // MARK: - The transport's side

    package func readConfiguration(at offset: UInt64, into data: inout MutableRawSpan) {
        configuration.read(at: offset, into: &data)
    }

    package var savedState: VirtioDeviceState {
        let vsock = queues.read { handler in VsockDeviceState(nextHostPort: handler.muxer.nextHostPort) }
        return VirtioDeviceState(queues: queues.serverState, vsock: vsock)
    }

    /// Continues after the ports that the driver knows, and reports the end of its connections.
    package func restore(_ state: VirtioDeviceState) {
        queues.whileLocked { handler, _ in handler.restore(nextHostPort: state.vsock?.nextHostPort) }
    }

    // MARK: - The machine's side

    /// Ends all connections and notifies the guest, once the device's thread continues.
    package func endConnections() {
        queues.whileLocked { handler, _ in handler.endConnections() }
        queues.wake()
    }

    /// The device's counters so far.
    package var statistics: VsockStatistics {
        var statistics = queues.read { handler in handler.muxer.statistics }
        statistics.receiveKicks = kicks[VsockHandler.receiveQueue].count
        statistics.sendKicks = kicks[VsockHandler.sendQueue].count
        statistics.eventKicks = kicks[VsockHandler.eventQueue].count
        return statistics
    }

    /// The number of connections, those included whose program has not yet said where it wants to go.
    package var connectionCount: Int { queues.read { handler in handler.muxer.connectionCount } }

    /// Has `body` called with each packet of a connection that the guest gets, on the device's thread.
    package func watchPackets(_ body: @escaping @Sendable (VsockPacket) -> Void) {
        queues.whileLocked { handler, _ in handler.muxer.onPacket = body }
    }

    /// Removes the socket's file.
    package func removeSocket() { listener?.removeFile() }
}
