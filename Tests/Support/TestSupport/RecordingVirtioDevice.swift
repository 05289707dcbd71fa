// SPDX-License-Identifier: Apache-2.0

package import Host
import Synchronization
package import Virtio

/// A virtio device that does nothing, keeps what its transport tells it, and minds the order.
package final class RecordingVirtioDevice: VirtioDevice {
    /// The transport's calls to the device, without reads of the configuration.
    package enum Call: Equatable {
        case accept(VirtioFeatures)
        case activate(features: VirtioFeatures, queues: [VirtqueueConfiguration?])
        case process(Int)
        case write(offset: UInt64, bytes: [UInt8])
        case reset
    }

    private enum Phase {
        case fresh
        case accepted
        case active
    }

    private struct State {
        var calls: [Call] = []
        var violations: [String] = []
        var phase = Phase.fresh
        var configuration: [UInt8]
        var activationFault: VirtqueueFault?
        var refusal: FeatureRefusal?
        var interrupt: (any VirtioInterrupt)?
    }

    package let deviceID: UInt32
    package let features: VirtioFeatures
    package let queueMaximumSizes: [UInt16]
    package let eventSources: [EventLoop.Source] = []
    /// A fuzz run would keep millions.
    private let isKeepingCalls: Bool
    private let state: Mutex<State>

    package init(
        deviceID: UInt32 = 42,
        features: VirtioFeatures = [.version1, .ringEventIndex, VirtioFeatures(rawValue: 0x8000_0000_0000_0021)],
        queueMaximumSizes: [UInt16] = [256, 128],
        configuration: [UInt8] = Array(1...12),
        isKeepingCalls: Bool = true
    ) {
        self.deviceID = deviceID
        self.features = features
        self.queueMaximumSizes = queueMaximumSizes
        self.isKeepingCalls = isKeepingCalls
        state = Mutex(State(configuration: configuration))
    }

    // MARK: - The test

    package var calls: [Call] { state.withLock { $0.calls } }

    /// The transport's calls since the last time.
    package func takeCalls() -> [Call] {
        state.withLock { state in
            defer { state.calls = [] }
            return state.calls
        }
    }

    /// The transport's calls that were out of order, in words.
    package var violations: [String] { state.withLock { $0.violations } }

    /// The device's way to its driver.
    package var interrupt: (any VirtioInterrupt)? { state.withLock { $0.interrupt } }

    /// From now on activation fails.
    package func failActivation(with fault: VirtqueueFault) {
        state.withLock { $0.activationFault = fault }
    }

    /// From now on the device refuses features for this reason; `nil` for none.
    package func refuseFeatures(with refusal: FeatureRefusal?) {
        state.withLock { $0.refusal = refusal }
    }

    private func record(_ call: Call, _ change: (inout State) -> Void = { _ in }) {
        state.withLock { state in
            if isKeepingCalls { state.calls.append(call) }
            change(&state)
        }
    }

    // MARK: - The transport

    package func connect(_ interrupt: any VirtioInterrupt) {
        state.withLock { state in
            if state.interrupt != nil { state.violations.append("connected twice") }
            state.interrupt = interrupt
        }
    }

    package func readConfiguration(at offset: UInt64, into data: inout MutableRawSpan) {
        let configuration = state.withLock { $0.configuration }
        for index in 0..<data.byteCount {
            let position = Int(clamping: offset.addingReportingOverflow(UInt64(index)).partialValue)
            let byte = configuration.indices.contains(position) ? configuration[position] : 0
            data.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
        }
    }

    package func writeConfiguration(at offset: UInt64, from data: RawSpan) {
        let bytes = (0..<data.byteCount).map { unsafe data.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
        record(.write(offset: offset, bytes: bytes))
    }

    package func accept(_ features: VirtioFeatures) throws(FeatureRefusal) {
        if let refusal = state.withLock({ $0.refusal }) { throw refusal }
        record(.accept(features)) { state in
            if state.phase != .fresh { state.violations.append("features accepted after \(state.phase)") }
            if !features.isSubset(of: self.features) { state.violations.append("features that were not offered") }
            state.phase = .accepted
        }
    }

    package func activate(_ context: ActivationContext) throws(VirtqueueFault) {
        record(.activate(features: context.features, queues: context.queues)) { state in
            if state.phase != .accepted { state.violations.append("activated after \(state.phase)") }
            if context.queues.count != queueMaximumSizes.count { state.violations.append("not one for each queue") }
            state.phase = .active
        }
        if let fault = state.withLock({ $0.activationFault }) { throw fault }
    }

    package func processQueue(_ index: Int) {
        record(.process(index)) { state in
            if !queueMaximumSizes.indices.contains(index) { state.violations.append("no queue \(index)") }
        }
    }

    package func reset() {
        record(.reset) { $0.phase = .fresh }
    }
}
