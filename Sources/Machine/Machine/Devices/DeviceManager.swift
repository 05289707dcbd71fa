// SPDX-License-Identifier: Apache-2.0

import Console
import Devices
import Dispatch
import Firmware
import GuestMemory
import Host
import KVM
import Logging
import MachineModel
import Metadata
import Platform
import Storage
import SystemPackage
import Virtio

/// All devices of one machine, on their buses and interrupt lines.
///
/// `docs/add-a-device.md` shows how to add one.
final class DeviceManager: Sendable {
    /// The greatest number of virtio devices: each has an interrupt line of its own.
    static let capacity = X86Layout.deviceGSIs.count

    let ports: Bus
    let memory: Bus
    let legacy: LegacyDevices
    let disks: [Disk]
    let interfaces: [Interface]
    let vsock: VsockDevice?
    /// The virtio devices, in the order in which the guest finds them.
    let attached: [AttachedDevice]

    /// Makes the devices, places them on the buses, and connects their interrupt lines.
    ///
    /// - Parameters:
    ///   - configuration: The description of the devices.
    ///   - resources: The allocators of windows and interrupt lines.
    ///   - vm: The machine, with its interrupt controllers.
    ///   - memory: The guest's.
    ///   - console: The other end of the serial port; `nil` for a silent line.
    ///   - timers: The thread on which the devices' timers fire, and which reaps their programs.
    ///   - metadata: The data of the metadata service, where the configuration has it.
    ///   - logger: The log of guest errors, at a limited rate.
    ///   - onRequest: Called from vCPU threads when the guest asks something of the machine.
    /// - Throws: `MachineError.assembly` when two devices claim a place, `kvm` when the kernel refuses a line, and errors of
    ///   the host's side of a device.
    init(
        _ configuration: MachineConfiguration,
        resources: inout PlatformResources,
        vm: KVMVirtualMachine,
        memory: GuestMemory,
        console: MachineConsole?,
        timers: WorkThread,
        metadata: MetadataService = MetadataService(),
        logger: Logger,
        onRequest: @escaping GuestRequestHandler
    ) throws(MachineError) {
        var attached: [AttachedDevice] = []
        func attach(
            _ id: DeviceID,
            _ make: () throws(Errno) -> any VirtioDevice
        ) throws(MachineError) {
            let device: any VirtioDevice
            do throws(Errno) {
                device = try make()
            } catch {
                throw .descriptor(id.name, error)
            }
            attached.append(
                try AttachedDevice(device, id: id, resources: &resources, vm: vm, memory: memory, logger: logger)
            )
        }
        // Disks come first, so that the first one is /dev/vda whatever the other devices are.
        disks = try configuration.orderedDrives.enumerated().map { index, disk throws(MachineError) in
            try Disk(disk, id: .disk(index), logger: logger)
        }
        for disk in disks { try attach(disk.id) { disk.device } }
        if let entropy = configuration.entropy {
            let limits = entropy.rateLimit.map { RateLimiter($0) }
            try attach("entropy") { () throws(Errno) in try EntropyDevice(limits: limits) }
        }
        interfaces = try configuration.addressedInterfaces.enumerated().map { index, interface throws(MachineError) in
            let service = configuration.metadataService.flatMap { service in
                service.networkInterfaces.contains(interface.id) ? (service.ipv4Address, metadata) : nil
            }
            return try Interface(interface, id: .interface(index), metadata: service, timers: timers, logger: logger)
        }
        for interface in interfaces { try attach(interface.id) { interface.device } }
        vsock = try configuration.vsock.map { vsock throws(MachineError) in try VsockDevice(vsock, logger: logger) }
        if let vsock { try attach("vsock") { vsock } }
        self.attached = attached

        legacy = try LegacyDevices(
            vm: vm,
            console: console,
            timers: timers,
            hasExitStatusPort: configuration.size.hasExitStatusPort,
            logger: logger,
            onRequest: onRequest
        )
        var (portBuilder, memoryBuilder) = (BusBuilder.ports, BusBuilder.memory)
        do throws(BusError) {
            try legacy.insert(into: &portBuilder)
            for device in attached { try device.insert(into: &memoryBuilder) }
        } catch {
            throw .assembly("\(error)")
        }
        ports = portBuilder.build(faults: GuestFaultLog(device: "port bus", logger: logger))
        self.memory = memoryBuilder.build(faults: GuestFaultLog(device: "MMIO bus", logger: logger))
    }

    /// The virtio devices, for the firmware tables and the command line.
    var firmwareDescriptions: [FirmwareDescription.VirtioDevice] {
        attached.map { FirmwareDescription.VirtioDevice(base: $0.resources.window, gsi: $0.resources.gsi) }
    }

    /// Looks a virtio device up by its name.
    func attached(_ id: DeviceID) -> AttachedDevice? { attached.first { $0.id == id } }

    // MARK: - Life

    /// Starts the devices' threads.
    func start(gate: StartGate?) throws(HostThreadError) {
        for disk in disks { try disk.start(gate: gate) }
        for device in attached { try device.start(gate: gate) }
    }

    /// Stops all access of devices to guest memory until `resume`; no vCPU runs meanwhile.
    func pause() {
        let arrivals = DispatchGroup()
        hold(joining: arrivals)
        arrivals.wait()
        for device in attached { device.drain(.guestMemory) }
    }

    /// Asks the devices' threads and timers to pause.
    ///
    /// - Parameter group: Is entered for as long as a device may still work.
    func hold(joining group: DispatchGroup) {
        for device in attached { device.pause(joining: group) }
        legacy.pause()
    }

    func resume() {
        legacy.resume()
        for device in attached { device.resume() }
    }

    /// Ends all that the devices do; no vCPU runs any more.
    func stop() {
        for device in attached { device.stop() }
        for interface in interfaces { interface.stop() }
        vsock?.removeSocket()
    }
}
