// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
package import Host

/// A virtio device as its transport sees it (virtio 1.2, section 2); it knows no transport and no KVM.
///
/// Any thread may call at any time; a device locks inside. The transport keeps the order of the specification: `activate`
/// comes at most once between two resets.
package protocol VirtioDevice: AnyObject, Sendable {
    /// The device's kind (virtio 1.2, section 5): 2 for block, 4 for entropy.
    var deviceID: UInt32 { get }
    /// What the device offers, the transport's own bits (`VIRTIO_F_VERSION_1`) included.
    var features: VirtioFeatures { get }
    /// The largest size of each virtqueue, a power of two each; as many as the device has queues.
    var queueMaximumSizes: [UInt16] { get }
    /// What else than kicks the device waits for: completions, timers.
    var eventSources: [EventLoop.Source] { get }

    /// Tells the device its way to the driver; once, before anything else.
    func connect(_ interrupt: any VirtioInterrupt)
    /// Answers a read of the device-specific configuration; beyond its end it gives zeros.
    func readConfiguration(at offset: UInt64, into data: inout MutableRawSpan)
    /// Takes a write to the device-specific configuration.
    func writeConfiguration(at offset: UInt64, from data: RawSpan)
    /// Tells the device which features its driver accepted (`FEATURES_OK`); before `activate`.
    func accept(_ features: VirtioFeatures)
    /// Starts the device (`DRIVER_OK`).
    ///
    /// - Throws: `VirtqueueFault` where a queue cannot work; the device then needs a reset.
    func activate(_ context: ActivationContext) throws(VirtqueueFault)
    /// Takes what the driver made available in queue `index`.
    ///
    /// At any time: before `activate` and after `reset` it does nothing, as with an index that is no queue's.
    func processQueue(_ index: Int)
    /// Waits until nothing is in flight, and returns it to the driver: the device touches no guest memory then, until
    /// something else is called.
    func drain()
    /// Forgets the driver: when it returns, the device touches no guest memory any more and has its first configuration.
    func reset()
}

extension VirtioDevice {
    /// For devices that finish each request before they return.
    package func drain() {}
}

/// What a device gets from its transport when the driver is ready.
package struct ActivationContext: Sendable {
    package let memory: GuestMemory
    /// What both sides agreed upon.
    package let features: VirtioFeatures
    /// One for each of the device's queues; `nil` for those that the driver left alone.
    package let queues: [VirtqueueConfiguration?]

    package init(memory: GuestMemory, features: VirtioFeatures, queues: [VirtqueueConfiguration?]) {
        self.memory = memory
        self.features = features
        self.queues = queues
    }
}
