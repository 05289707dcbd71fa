// SPDX-License-Identifier: Apache-2.0

package import Devices
import Snapshot
import Virtio

/// Everything that a snapshot must keep of a machine's devices: plain values, each device by its name.
package struct DeviceManagerState: Codable, Hashable, Sendable {
    package var serialPort: SerialPortState
    package var keyboardController: I8042State
    package var clock: RealTimeClockState
    package var power: ACPIPowerState
    package var panicNotifier: PvpanicState
    package var hostBridge: PCIHostBridgeState
    /// The virtio devices, in their order.
    package var attached: [AttachedDeviceState]
}

extension DeviceManager {
    /// Takes the state of all devices; the machine is paused.
    ///
    /// Waits for flushes that are under way: they take as long as the host's disk does.
    func saveState() -> DeviceManagerState {
        for device in attached { device.drain(.everything) }
        return DeviceManagerState(
            serialPort: legacy.serialPort.state,
            keyboardController: legacy.keyboardController.state,
            clock: legacy.clock.state,
            power: legacy.power.state,
            panicNotifier: legacy.panicNotifier.state,
            hostBridge: legacy.hostBridge.state,
            attached: attached.map(\.state)
        )
    }

    /// Lets all devices go on from a state that devices of the same description gave.
    ///
    /// Call it after the interrupt controllers have their state and before `start`. Each virtqueue that is ready is looked
    /// at once when the device's thread runs, and each interrupt line whose cause is pending is raised again, because KVM
    /// may have taken the last edge of a line out of its eventfd and not delivered it yet.
    ///
    /// - Throws: `MachineError.assembly` where the devices are others, `snapshot` where a network cannot do what the guest
    ///   leaves to it.
    func restore(_ state: DeviceManagerState) throws(MachineError) {
        guard state.attached.map(\.id) == attached.map(\.id) else {
            let (saved, present) = (state.attached.map(\.id.name), attached.map(\.id.name))
            throw .assembly(
                "the saved machine has the devices \(saved.joined(separator: ", ")), this one \(present.joined(separator: ", "))"
            )
        }
        for (device, state) in zip(attached, state.attached) {
            guard state.mmio.driverFeatures.isSubset(of: device.device.features) || device.device.deviceID != 1 else {
                throw .snapshot(
                    .device(
                        device.id.name,
                        reason:
                            "the guest uses checksum or segmentation offloads, which this network lacks: give it a TAP"
                    )
                )
            }
            device.restore(state)
        }
        for device in attached { device.raisePendingInterrupt() }
        legacy.serialPort.restore(state.serialPort)
        legacy.keyboardController.restore(state.keyboardController)
        legacy.clock.restore(state.clock)
        legacy.power.restore(state.power)
        legacy.panicNotifier.restore(state.panicNotifier)
        legacy.hostBridge.restore(state.hostBridge)
    }
}
