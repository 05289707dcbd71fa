// SPDX-License-Identifier: Apache-2.0

import Devices
import Synchronization

/// The registers that a device and its transport share: they change without an act of the driver.
///
/// It stands between them, so that neither owns the other. There is no lock: a device may call from anywhere, also
/// while its transport waits for it, and reads of these registers never wait.
package final class MMIOInterrupt: VirtioInterrupt {
    /// The bits of `InterruptStatus` (virtio 1.2, 4.2.2).
    package struct Reasons: OptionSet, Hashable, Sendable {
        package let rawValue: UInt32

        package init(rawValue: UInt32) {
            self.rawValue = rawValue
        }

        package static let usedBuffers = Self(rawValue: 1 << 0)
        package static let configurationChange = Self(rawValue: 1 << 1)
    }

    private let statusBits: Atomic<UInt32>
    private let reasonBits: Atomic<UInt32>
    private let generation: Atomic<UInt32>
    private let line: any InterruptLine
    private let faults: GuestFaultLog

    init(_ state: MMIOTransportState, line: any InterruptLine, faults: GuestFaultLog) {
        statusBits = Atomic(state.consistentStatus.rawValue)
        reasonBits = Atomic(state.interruptStatus & 3)
        generation = Atomic(state.configurationGeneration)
        self.line = line
        self.faults = faults
    }

    // MARK: - The device

    package func notifyUsedBuffers() {
        raise(.usedBuffers)
    }

    /// Counts the change in any case; notifies the driver if it is ready.
    package func notifyConfigurationChange() {
        changeGeneration()
        if status.contains(.driverOK) { raise(.configurationChange) }
    }

    /// Says that the device needs a reset, at most once between two resets (virtio 1.2, 2.1.2).
    package func notifyNeedsReset(_ reason: VirtqueueFault) {
        faults.record("needs a reset: \(reason)")
        var current = status
        // A device that no driver has touched is as good as new: this word is late, and a reset has been.
        while !current.isEmpty, !current.contains(.deviceNeedsReset) {
            let (isDone, original) = statusBits.compareExchange(
                expected: current.rawValue,
                desired: current.union(.deviceNeedsReset).rawValue,
                ordering: .sequentiallyConsistent
            )
            guard !isDone else {
                if current.contains(.driverOK) { raise(.configurationChange) }
                return
            }
            current = DeviceStatus(rawValue: original)
        }
    }

    /// Raises the line again where a reason is pending: after a restore, when an edge may be lost.
    func raisePending() {
        if !reasons.isEmpty { line.trigger() }
    }

    private func raise(_ reason: Reasons) {
        reasonBits.bitwiseOr(reason.rawValue, ordering: .sequentiallyConsistent)
        line.trigger()
    }

    // MARK: - The transport

    var status: DeviceStatus { DeviceStatus(rawValue: statusBits.load(ordering: .sequentiallyConsistent)) }

    var reasons: Reasons { Reasons(rawValue: reasonBits.load(ordering: .sequentiallyConsistent)) }

    var configurationGeneration: UInt32 { generation.load(ordering: .sequentiallyConsistent) }

    /// Sets a bit for the driver.
    func insert(_ bit: DeviceStatus) {
        let (old, new) = statusBits.bitwiseOr(bit.rawValue, ordering: .sequentiallyConsistent)
        // The device failed between `activate` and this: the driver could not learn of it before.
        let isNews = !DeviceStatus(rawValue: old).contains(.driverOK) && DeviceStatus(rawValue: new).contains(.driverOK)
        if isNews, DeviceStatus(rawValue: new).contains(.deviceNeedsReset) { raise(.configurationChange) }
    }

    func acknowledge(_ reasons: Reasons) {
        reasonBits.bitwiseAnd(~reasons.rawValue, ordering: .sequentiallyConsistent)
    }

    func changeGeneration() {
        generation.wrappingAdd(1, ordering: .sequentiallyConsistent)
    }

    /// Restores a state, of which unknown bits are dropped.
    func restore(_ state: MMIOTransportState) {
        generation.store(state.configurationGeneration, ordering: .sequentiallyConsistent)
        reasonBits.store(state.interruptStatus & 3, ordering: .sequentiallyConsistent)
        statusBits.store(state.consistentStatus.rawValue, ordering: .sequentiallyConsistent)
    }

    /// Back to the first values; the generation continues, because the configuration may be another one than before.
    func reset() {
        changeGeneration()
        reasonBits.store(0, ordering: .sequentiallyConsistent)
        // Last, because 0 tells the driver that the reset is over (2.4.1).
        statusBits.store(0, ordering: .sequentiallyConsistent)
    }
}
