// SPDX-License-Identifier: Apache-2.0

package import Devices
package import GuestMemory
import Synchronization

/// A virtio device at a window of memory: the MMIO transport, version 2 (virtio 1.2, 4.2).
///
/// A driver that breaks a rule of the specification is answered as if it had not written, and counted. The device sees
/// one order of calls only, whatever the driver does: `accept` at most once after a reset, then `activate` at most
/// once.
///
/// ## Locks
/// One lock for the registers, which is held while the device takes features, activation and reset: those are in
/// order even when several vCPUs write the status at once. The device may call its `VirtioInterrupt` meanwhile, from
/// any thread. Status, interrupts, kicks and the configuration take no lock.
package final class MMIOTransport: BusDevice {
    let device: any VirtioDevice
    let memory: GuestMemory
    let interrupt: MMIOInterrupt
    let faults: GuestFaultLog
    let onKick: @Sendable (Int) -> Void
    let registers: Mutex<MMIORegisters>
    let activated: Atomic<Bool>
    private let queueCount: Int

    /// Connects the device to its driver.
    ///
    /// - Parameters:
    ///   - device: The device, which has no other transport.
    ///   - memory: The guest's memory, with the driver's queues.
    ///   - interrupt: Triggered on each notification to the driver.
    ///   - faults: The log of driver errors.
    ///   - state: Where to go on. The device has a state of its own: it is not activated from here.
    ///   - onKick: Called on the vCPU's thread with the number of the queue that the driver notifies of; must not block.
    ///     `nil` for calling `device.processQueue` there.
    package init(
        device: any VirtioDevice,
        memory: GuestMemory,
        interrupt: any InterruptLine,
        faults: GuestFaultLog,
        state: MMIOTransportState = MMIOTransportState(),
        onKick: (@Sendable (Int) -> Void)? = nil
    ) {
        self.device = device
        self.memory = memory
        self.interrupt = MMIOInterrupt(state, line: interrupt, faults: faults)
        self.faults = faults
        self.onKick = onKick ?? { [device] in device.processQueue($0) }
        let maximumSizes = device.queueMaximumSizes
        queueCount = maximumSizes.count
        var registers = MMIORegisters(offeredFeatures: device.features, queueMaximumSizes: maximumSizes)
        registers.restore(state)
        self.registers = Mutex(registers)
        activated = Atomic(state.wasActivated)
        device.connect(self.interrupt)
    }

    /// Indicates whether a driver has ever set `DRIVER_OK`.
    package var wasActivated: Bool { activated.load(ordering: .relaxed) }

    package var state: MMIOTransportState {
        registers.withLock { registers in
            var state = MMIOTransportState()
            registers.save(to: &state)
            state.status = interrupt.status
            state.interruptStatus = interrupt.reasons.rawValue
            state.configurationGeneration = interrupt.configurationGeneration
            state.wasActivated = wasActivated
            return state
        }
    }

    /// Restores a state of a transport and its device; the driver sees no reset.
    ///
    /// A state that cannot be, such as one with queues outside RAM, leaves a device that needs a reset.
    package func restore(_ state: MMIOTransportState, device own: VirtioDeviceState) {
        registers.withLock { registers in
            device.reset()
            registers.reset()
            registers.restore(state)
            interrupt.restore(state)
            activated.store(state.wasActivated, ordering: .relaxed)
            let status = interrupt.status
            guard status.contains(.featuresOK) else { return }
            do throws(FeatureRefusal) {
                try device.accept(registers.driverFeatures)
            } catch {
                return interrupt.notifyNeedsReset(.malformedRequest(error.reason))
            }
            device.restore(own)
            guard status.contains(.driverOK) else { return }
            let context = ActivationContext(
                memory: memory,
                features: registers.driverFeatures,
                queues: registers.readyQueues,
                state: own.queues
            )
            do throws(VirtqueueFault) {
                try device.activate(context)
            } catch {
                interrupt.notifyNeedsReset(error)
            }
        }
    }

    /// Raises the interrupt line again where its cause is pending.
    package func raisePendingInterrupt() { interrupt.raisePending() }

    // MARK: - Reads

    package func read(at offset: UInt64, into data: inout MutableRawSpan) {
        guard offset < MMIORegister.configurationSpace else {
            device.readConfiguration(at: offset - MMIORegister.configurationSpace, into: &data)
            return
        }
        // Padding of an access that belongs to no register.
        data.fill(with: 0)
        let byteCount = data.byteCount
        guard byteCount == 4, let register = MMIORegister(rawValue: offset) else {
            faults.record("read of \(byteCount) bytes at 0x\(String(offset, radix: 16)): no register")
            return
        }
        guard let value = value(of: register) else {
            faults.record("read of \(register), which is write-only")
            return
        }
        data.storeBytes(of: value.littleEndian, as: UInt32.self)
    }

    /// The value of `register`, or `nil` when it is for writing only.
    private func value(of register: MMIORegister) -> UInt32? {
        switch register {
        case .magicValue: MMIORegister.magic
        case .version: MMIORegister.currentVersion
        case .deviceID: device.deviceID
        case .vendorID: MMIORegister.martletVendorID
        case .deviceFeatures: registers.withLock { $0.selectedDeviceFeatures }
        case .queueSizeMaximum: registers.withLock { $0.selectedQueueMaximumSize }
        case .queueReady: registers.withLock { $0.selectedQueue?.isReady == true ? 1 : 0 }
        case .interruptStatus: interrupt.reasons.rawValue
        case .status: interrupt.status.rawValue
        case .configurationGeneration: interrupt.configurationGeneration
        // All ones: there is no region of shared memory, whichever is selected.
        case .sharedMemoryLengthLow, .sharedMemoryLengthHigh, .sharedMemoryBaseLow, .sharedMemoryBaseHigh: .max
        case .deviceFeaturesSelect, .driverFeatures, .driverFeaturesSelect, .queueSelect, .queueSize, .queueNotify,
            .interruptAcknowledge, .queueDescriptorLow, .queueDescriptorHigh, .queueDriverLow, .queueDriverHigh,
            .queueDeviceLow, .queueDeviceHigh, .sharedMemorySelect:
            nil
        }
    }

    // MARK: - Writes

    package func write(at offset: UInt64, from data: RawSpan) {
        guard offset < MMIORegister.configurationSpace else {
            device.writeConfiguration(at: offset - MMIORegister.configurationSpace, from: data)
            return
        }
        let byteCount = data.byteCount
        guard byteCount == 4, let register = MMIORegister(rawValue: offset) else {
            faults.record("write of \(byteCount) bytes at 0x\(String(offset, radix: 16)): no register")
            return
        }
        let value = UInt32(truncatingIfNeeded: data.littleEndianValue)
        switch register {
        case .status: writeStatus(value)
        case .queueNotify: notify(queue: value)
        case .interruptAcknowledge: interrupt.acknowledge(MMIOInterrupt.Reasons(rawValue: value))
        // There is none to select.
        case .sharedMemorySelect: break
        default: set(register, to: value)
        }
    }

    private func notify(queue: UInt32) {
        let status = interrupt.status
        guard status.contains(.driverOK), !status.contains(.deviceNeedsReset) else {
            return faults.record("notification of queue \(queue) while the device does not run")
        }
        guard let index = Int(exactly: queue), index < queueCount else {
            return faults.record("notification of queue \(queue), which does not exist")
        }
        onKick(index)
    }

    private func set(_ register: MMIORegister, to value: UInt32) {
        do throws(MMIORegisters.Fault) {
            try registers.withLock { registers throws(MMIORegisters.Fault) in
                try Self.set(register, of: &registers, to: value, status: interrupt.status)
            }
        } catch {
            faults.record("write of 0x\(String(value, radix: 16)) to \(register): \(error.reason)")
        }
    }

    private static func set(
        _ register: MMIORegister,
        of registers: inout MMIORegisters,
        to value: UInt32,
        status: DeviceStatus
    ) throws(MMIORegisters.Fault) {
        func setAddress(
            _ address: WritableKeyPath<MMIOTransportState.Queue, UInt64>,
            isHigh: Bool
        ) throws(MMIORegisters.Fault) {
            try registers.setQueueAddress(address, isHigh: isHigh, value, status: status)
        }
        switch register {
        case .deviceFeaturesSelect: registers.selectDeviceFeatures(value)
        case .driverFeaturesSelect: registers.selectDriverFeatures(value)
        case .driverFeatures: try registers.setDriverFeatures(value, status: status)
        case .queueSelect: registers.selectQueue(value)
        case .queueSize: try registers.setQueueSize(value, status: status)
        case .queueReady: try registers.setQueueReady(value, status: status)
        case .queueDescriptorLow: try setAddress(\.descriptorTable, isHigh: false)
        case .queueDescriptorHigh: try setAddress(\.descriptorTable, isHigh: true)
        case .queueDriverLow: try setAddress(\.driverArea, isHigh: false)
        case .queueDriverHigh: try setAddress(\.driverArea, isHigh: true)
        case .queueDeviceLow: try setAddress(\.deviceArea, isHigh: false)
        case .queueDeviceHigh: try setAddress(\.deviceArea, isHigh: true)
        default: throw MMIORegisters.Fault("it is read-only")
        }
    }
}
