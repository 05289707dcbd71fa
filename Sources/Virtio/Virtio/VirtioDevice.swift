// SPDX-License-Identifier: Apache-2.0

import Devices
package import GuestMemory
package import Host

/// A virtio device as its transport sees it (virtio 1.2, section 2); it knows no transport and no KVM.
///
/// Any thread may call at any time; a device locks internally. The transport keeps the order of the specification: `activate`
/// comes at most once between two resets.
package protocol VirtioDevice: AnyObject, Sendable {
    /// The device's kind (virtio 1.2, section 5): 2 for block, 4 for entropy.
    var deviceID: UInt32 { get }
    /// The features that the device offers, the transport's own bits (`VIRTIO_F_VERSION_1`) included.
    var features: VirtioFeatures { get }
    /// The largest size of each virtqueue, a power of two each; as many as the device has queues.
    var queueMaximumSizes: [UInt16] { get }
    /// The device's events besides kicks: completions, timers.
    var eventSources: [EventLoop.Source] { get }

    /// Connects the device with its interrupt, once, before any other call.
    func connect(_ interrupt: any VirtioInterrupt)
    /// Answers a read of the device-specific configuration; bytes beyond its end are zero.
    func readConfiguration(at offset: UInt64, into data: inout MutableRawSpan)
    /// Takes a write to the device-specific configuration.
    func writeConfiguration(at offset: UInt64, from data: RawSpan)
    /// Passes the features that the driver accepted (`FEATURES_OK`), before `activate`.
    ///
    /// - Throws: `FeatureRefusal`; then `FEATURES_OK` stays clear, and the driver may try others (3.1.1, step 6).
    func accept(_ features: VirtioFeatures) throws(FeatureRefusal)
    /// Starts the device (`DRIVER_OK`).
    ///
    /// - Throws: `VirtqueueFault` where a queue cannot work; the device then needs a reset.
    func activate(_ context: ActivationContext) throws(VirtqueueFault)
    /// Takes the buffers that the driver made available in queue `index`.
    ///
    /// May be called at any time; does nothing before `activate`, after `reset`, or for an index without a queue.
    func processQueue(_ index: Int)
    /// Waits for requests in flight, and returns them to the driver: the device touches no guest memory then, until something
    /// else is called.
    func drain(_ extent: DrainExtent)
    /// The state for a snapshot, besides the transport's; taken after `drain(.everything)`.
    var savedState: VirtioDeviceState { get }
    /// Restores the device's own part of a state, after `accept`. The virtqueues come with `activate`.
    func restore(_ state: VirtioDeviceState)
    /// Resets the device: when it returns, the device touches no guest memory and has its initial configuration.
    func reset()
}

/// The defaults are those of a device without a configuration and without features of its own.
extension VirtioDevice {
    package func drain(_ extent: DrainExtent) {}
    package var savedState: VirtioDeviceState { VirtioDeviceState() }
    package func restore(_ state: VirtioDeviceState) {}
    package func accept(_ features: VirtioFeatures) throws(FeatureRefusal) {}
    package func writeConfiguration(at offset: UInt64, from data: RawSpan) {}

    package func readConfiguration(at offset: UInt64, into data: inout MutableRawSpan) {
        data.fill(with: 0)
    }
}

/// A device whose virtqueues a `QueueServer` serves, as all devices are.
package protocol QueuedDevice: VirtioDevice {
    var server: any QueueServing { get }
}

extension QueuedDevice {
    package var eventSources: [EventLoop.Source] { server.eventSources }

    package func connect(_ interrupt: any VirtioInterrupt) { server.connect(interrupt) }

    package func activate(_ context: ActivationContext) throws(VirtqueueFault) { try server.activate(context) }

    package func processQueue(_ index: Int) { server.processQueue(index) }

    package func drain(_ extent: DrainExtent) { server.drain(extent) }

    package var savedState: VirtioDeviceState { VirtioDeviceState(queues: server.serverState) }

    package func reset() { server.reset() }
}

/// The reason why a device cannot work with the features that its driver accepted, such as one without another
/// that it depends on (virtio 1.2, 5.1.3.1).
package struct FeatureRefusal: Error, Hashable, Sendable {
    package let reason: String

    package init(_ reason: String) { self.reason = reason }
}

/// The values that a device gets from its transport when the driver is ready.
package struct ActivationContext: Sendable {
    package let memory: GuestMemory
    /// The features that both sides agreed upon.
    package let features: VirtioFeatures
    /// One for each of the device's queues; `nil` for those that the driver left alone.
    package let queues: [VirtqueueConfiguration?]
    /// The state of a restored device; `nil` for a new one.
    package let state: QueueServerState?

    package init(
        memory: GuestMemory,
        features: VirtioFeatures,
        queues: [VirtqueueConfiguration?],
        state: QueueServerState? = nil
    ) {
        self.memory = memory
        self.features = features
        self.queues = queues
        self.state = state
    }
}

/// A device's way to its driver.
package protocol VirtioInterrupt: Sendable {
    /// Says that used buffers wait in a virtqueue (virtio 1.2, 2.3: used buffer notification).
    func notifyUsedBuffers()
    /// Says that the device-specific configuration has changed (2.3: configuration change notification).
    func notifyConfigurationChange()
    /// Says why the device can no longer work (2.1.1: `DEVICE_NEEDS_RESET`).
    func notifyNeedsReset(_ reason: VirtqueueFault)
}
