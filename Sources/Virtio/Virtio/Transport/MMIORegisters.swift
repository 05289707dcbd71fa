// SPDX-License-Identifier: Apache-2.0

/// The registers that only the driver changes, and the rules for each write; without effects on anything else.
struct MMIORegisters {
    /// The reason why a write was ignored.
    struct Fault: Error {
        let reason: String

        init(_ reason: String) {
            self.reason = reason
        }
    }

    let offeredFeatures: VirtioFeatures
    let queueMaximumSizes: [UInt16]

    private(set) var deviceFeaturesSelect: UInt32 = 0
    private(set) var driverFeaturesSelect: UInt32 = 0
    private(set) var driverFeatures: VirtioFeatures = []
    private(set) var queueSelect: UInt32 = 0
    /// One for each queue of the device.
    private(set) var queues: [MMIOTransportState.Queue]

    init(offeredFeatures: VirtioFeatures, queueMaximumSizes: [UInt16]) {
        self.offeredFeatures = offeredFeatures
        self.queueMaximumSizes = queueMaximumSizes
        queues = queueMaximumSizes.map { _ in MMIOTransportState.Queue() }
    }

    mutating func reset() {
        self = Self(offeredFeatures: offeredFeatures, queueMaximumSizes: queueMaximumSizes)
    }

    // MARK: - Snapshots

    mutating func restore(_ state: MMIOTransportState) {
        deviceFeaturesSelect = state.deviceFeaturesSelect
        driverFeaturesSelect = state.driverFeaturesSelect
        // Before FEATURES_OK the driver may have written anything.
        driverFeatures =
            state.status.contains(.featuresOK)
            ? state.driverFeatures.intersection(offeredFeatures) : state.driverFeatures
        queueSelect = state.queueSelect
        for (index, (queue, maximum)) in zip(state.queues, queueMaximumSizes).enumerated() {
            queues[index] = queue
            if queue.size > maximum { queues[index].size = 0 }
            queues[index].isReady = queue.isReady && hasUsableSize(queues[index])
        }
    }

    func save(to state: inout MMIOTransportState) {
        state.deviceFeaturesSelect = deviceFeaturesSelect
        state.driverFeaturesSelect = driverFeaturesSelect
        state.driverFeatures = driverFeatures
        state.queueSelect = queueSelect
        state.queues = queues
    }

    // MARK: - Features

    /// The reason why `FEATURES_OK` must be refused, or `nil` (virtio 1.2, 2.2).
    var featureProblem: String? {
        let extra = driverFeatures.subtracting(offeredFeatures)
        guard extra.isEmpty else { return "features 0x\(String(extra.rawValue, radix: 16)) were not offered" }
        return driverFeatures.contains(.version1) ? nil : "the driver does not know VIRTIO_F_VERSION_1"
    }

    /// The half of the device's features that is selected.
    var selectedDeviceFeatures: UInt32 {
        switch deviceFeaturesSelect {
        case 0: UInt32(truncatingIfNeeded: offeredFeatures.rawValue)
        case 1: UInt32(truncatingIfNeeded: offeredFeatures.rawValue >> 32)
        default: 0
        }
    }

    mutating func selectDeviceFeatures(_ value: UInt32) { deviceFeaturesSelect = value }

    mutating func selectDriverFeatures(_ value: UInt32) { driverFeaturesSelect = value }

    mutating func setDriverFeatures(_ value: UInt32, status: DeviceStatus) throws(Fault) {
        guard !status.contains(.featuresOK) else { throw Fault("the features are already negotiated") }
        let old = driverFeatures.rawValue
        switch driverFeaturesSelect {
        case 0: driverFeatures = VirtioFeatures(rawValue: old.replacingHalf(isHigh: false, by: value))
        case 1: driverFeatures = VirtioFeatures(rawValue: old.replacingHalf(isHigh: true, by: value))
        default:
            guard value == 0 else { throw Fault("no feature above 63 is offered") }
        }
    }

    // MARK: - Queues

    /// The selected queue, or `nil` when the device has no such queue.
    var selectedQueue: MMIOTransportState.Queue? { selectedIndex.map { queues[$0] } }

    var selectedQueueMaximumSize: UInt32 { selectedIndex.map { UInt32(queueMaximumSizes[$0]) } ?? 0 }

    /// The queues that the driver made ready, as `ActivationContext` takes them.
    var readyQueues: [VirtqueueConfiguration?] { queues.map { $0.isReady ? $0.configuration : nil } }

    mutating func selectQueue(_ value: UInt32) { queueSelect = value }

    mutating func setQueueSize(_ value: UInt32, status: DeviceStatus) throws(Fault) {
        let index = try changeableQueue(status)
        guard value <= UInt32(queueMaximumSizes[index]) else {
            throw Fault("queue \(index) takes no more than \(queueMaximumSizes[index]) descriptors")
        }
        queues[index].size = UInt16(value)
    }

    mutating func setQueueReady(_ value: UInt32, status: DeviceStatus) throws(Fault) {
        guard value <= 1 else { throw Fault("QueueReady is 0 or 1") }
        guard value == 1 else {
            guard let index = selectedIndex else { return }
            // Drivers write 0 after a reset, to be sure. A queue that is in use stops with its device only.
            guard !queues[index].isReady || !status.contains(.driverOK) else {
                throw Fault("queue \(index) is in use")
            }
            queues[index].isReady = false
            return
        }
        let index = try changeableQueue(status)
        guard hasUsableSize(queues[index]) else {
            throw Fault("queue \(index) has \(queues[index].size) descriptors, which is not a power of two")
        }
        queues[index].isReady = true
    }

    /// Sets one half of one of the queue's addresses.
    mutating func setQueueAddress(
        _ address: WritableKeyPath<MMIOTransportState.Queue, UInt64>,
        isHigh: Bool,
        _ value: UInt32,
        status: DeviceStatus
    ) throws(Fault) {
        let index = try changeableQueue(status)
        queues[index][keyPath: address] = queues[index][keyPath: address].replacingHalf(isHigh: isHigh, by: value)
    }

    private var selectedIndex: Int? {
        Int(exactly: queueSelect).flatMap { queues.indices.contains($0) ? $0 : nil }
    }

    /// The index of the selected queue, when its registers may change (virtio 1.2, 4.2.2.2).
    private func changeableQueue(_ status: DeviceStatus) throws(Fault) -> Int {
        guard let index = selectedIndex else { throw Fault("there is no queue \(queueSelect)") }
        guard !status.contains(.driverOK) else { throw Fault("the device is already running") }
        guard !queues[index].isReady else { throw Fault("queue \(index) is already ready") }
        return index
    }

    private func hasUsableSize(_ queue: MMIOTransportState.Queue) -> Bool {
        queue.size.nonzeroBitCount == 1
    }
}

extension UInt64 {
    /// This number with one half from a register of 32 bits.
    fileprivate func replacingHalf(isHigh: Bool, by half: UInt32) -> UInt64 {
        isHigh ? self & 0xffff_ffff | UInt64(half) << 32 : self & ~0xffff_ffff | UInt64(half)
    }
}
