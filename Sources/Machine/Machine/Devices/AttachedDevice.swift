// SPDX-License-Identifier: Apache-2.0

import Devices
import Dispatch
import GuestMemory
import Host
import KVM
import Logging
import Platform
import SystemPackage
package import Virtio

/// A device in its place: registers, interrupt line, kicks, and the thread that serves it.
final class AttachedDevice: Sendable {
    /// The resources that the machine has given the device.
    struct Resources: Hashable, Sendable {
        let window: GuestAddress
        /// Its interrupt line.
        let gsi: UInt32
    }

    /// The way between the device and its driver.
    enum Transport: Sendable {
        case mmio(MMIOTransport)

        /// Indicates whether a driver has ever started the device.
        var wasActivated: Bool {
            switch self {
            case .mmio(let transport): transport.wasActivated
            }
        }
    }

    let id: DeviceID
    let device: any VirtioDevice
    let resources: Resources
    let transport: Transport
    private let loop: EventLoop

    /// Gives a device its place in a machine.
    ///
    /// - Parameters:
    ///   - device: Not yet connected to a transport.
    ///   - id: Its name.
    ///   - resources: Where its place is taken from.
    ///   - vm: The machine, with its interrupt controllers.
    ///   - memory: The guest's.
    ///   - logger: The log of guest errors.
    /// - Throws: `MachineError.assembly` where no place is left, `kvm` where the kernel refuses a line, `descriptor` where
    ///   there is none left.
    init(
        _ device: any VirtioDevice,
        id: DeviceID,
        resources: inout PlatformResources,
        vm: KVMVirtualMachine,
        memory: GuestMemory,
        logger: Logger
    ) throws(MachineError) {
        guard let window = resources.allocateWindow(), let gsi = resources.allocateGSI() else {
            throw .assembly(
                "no interrupt line is left for \(id): a machine has room for \(DeviceManager.capacity) devices"
            )
        }
        var kicks: [EventFD] = []
        do throws(Errno) {
            for _ in device.queueMaximumSizes { kicks.append(try EventFD()) }
        } catch {
            throw .descriptor(id.name, error)
        }
        let sources = kicks.enumerated().map { queue, kick in
            EventLoop.Source(kick.descriptor) { device.processQueue(queue) }
        }
        do throws(KVMError) {
            let notify = window.rawValue + MMIORegister.queueNotify.rawValue
            for (queue, kick) in kicks.enumerated() { try vm.connect(kick, toWritesOf: UInt32(queue), at: notify) }
        } catch {
            throw .kvm(error)
        }
        transport = .mmio(
            MMIOTransport(
                device: device,
                memory: memory,
                interrupt: try IRQFD(vm: vm, gsi: gsi),
                faults: GuestFaultLog(device: id.name, logger: logger),
                // The way of a kick that KVM did not turn into an event, such as one of another width.
                onKick: { [kicks] queue in kicks[queue].signal() }
            )
        )
        do throws(Errno) {
            loop = try EventLoop(id.name, sources: sources + device.eventSources)
        } catch {
            throw .descriptor(id.name, error)
        }
        (self.device, self.id) = (device, id)
        self.resources = Resources(window: window, gsi: gsi)
    }

    /// Puts the device's registers onto the memory bus.
    func insert(into bus: inout BusBuilder) throws(BusError) {
        switch transport {
        case .mmio(let transport):
            let range = BusRange(start: resources.window.rawValue, byteCount: X86Layout.virtioMMIOWindow)
            try bus.insert(transport, at: range, named: id.name)
        }
    }

    // MARK: - Life

    func start(gate: StartGate?) throws(HostThreadError) {
        try loop.start(gate: gate)
    }

    /// Asks the device's thread to pause.
    ///
    /// - Parameter group: Is entered for as long as it may still work.
    func pause(joining group: DispatchGroup) {
        loop.pause(joining: group)
    }

    /// Waits for the device's input and output, while its thread is paused.
    func drain(_ extent: DrainExtent) {
        device.drain(extent)
    }

    /// Resumes, with the kicks that came meanwhile.
    func resume() {
        loop.resume()
    }

    /// Ends the device's thread, and its input and output; no vCPU runs any more.
    func stop() {
        loop.stop()
        device.reset()
    }

    // MARK: - State

    /// Everything that a snapshot must keep; the thread is paused, and the device is drained.
    var state: AttachedDeviceState {
        switch transport {
        case .mmio(let transport): AttachedDeviceState(id: id, mmio: transport.state, device: device.savedState)
        }
    }

    func restore(_ state: AttachedDeviceState) {
        switch transport {
        case .mmio(let transport): transport.restore(state.mmio, device: state.device)
        }
    }

    /// Raises the interrupt line again where its cause is pending.
    func raisePendingInterrupt() {
        switch transport {
        case .mmio(let transport): transport.raisePendingInterrupt()
        }
    }
}

/// Everything that a snapshot must keep of an `AttachedDevice`.
package struct AttachedDeviceState: Codable, Hashable, Sendable {
    package var id: DeviceID
    package var mmio: MMIOTransportState
    package var device: VirtioDeviceState

    package init(id: DeviceID, mmio: MMIOTransportState, device: VirtioDeviceState) {
        (self.id, self.mmio, self.device) = (id, mmio, device)
    }
}
