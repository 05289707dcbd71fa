// SPDX-License-Identifier: Apache-2.0

import Firmware
import Platform
import Devices
import Dispatch
import GuestMemory
import Host
import KVM
import LinuxBoot
import Logging
import Storage
import SystemPackage
import Virtio

/// The virtio devices of one machine: its disks in their order, then the entropy device.
struct VirtioDeviceSet: Sendable {
    /// How many there may be: each has an interrupt line of its own.
    static let capacity = X86Layout.virtioGSIs.count

    let slots: [VirtioSlot]
    let disks: [Disk]

    init(
        _ configuration: MachineConfiguration,
        vm: KVMVirtualMachine,
        memory: GuestMemory,
        logger: Logger
    ) throws(MachineError) {
        var slots: [VirtioSlot] = []
        func add(_ device: any VirtioDevice, _ name: String) throws(MachineError) {
            slots.append(
                try VirtioSlot(device, name: name, index: slots.count, vm: vm, memory: memory, logger: logger)
            )
        }
        var disks: [Disk] = []
        for (index, disk) in configuration.disks.enumerated() {
            let name = Self.diskName(index)
            disks.append(try Disk(disk, name: name, logger: logger))
            try add(disks[index].device, name)
        }
        if configuration.hasEntropyDevice {
            let device: EntropyDevice
            do throws(Errno) {
                device = try EntropyDevice(limits: configuration.entropyRateLimit.map { RateLimiter($0) })
            } catch {
                throw .descriptor("entropy", error)
            }
            try add(device, "entropy")
        }
        (self.slots, self.disks) = (slots, disks)
    }

    /// What Linux calls the disk, if all its virtio disks are ours: `vda` for 0.
    static func diskName(_ index: Int) -> String {
        "vd" + String(UnicodeScalar(UInt8(ascii: "a") + UInt8(index)))
    }

    func insert(into bus: inout BusBuilder) throws(BusError) {
        for slot in slots {
            let range = BusRange(start: slot.description.base.rawValue, byteCount: slot.description.byteCount)
            try bus.insert(slot.transport, at: range, named: slot.name)
        }
    }

    func start(gate: StartGate?) throws(HostThreadError) {
        for slot in slots { try slot.start(gate: gate) }
    }

    /// Returns when no device touches guest memory any more, until `resume`; no vCPU runs meanwhile.
    func pause() {
        let arrivals = DispatchGroup()
        for slot in slots { slot.pause(joining: arrivals) }
        arrivals.wait()
        for slot in slots { slot.drain() }
    }

    func resume() {
        for slot in slots { slot.resume() }
    }

    /// Ends all that the devices do; no vCPU runs any more.
    func stop() {
        for slot in slots { slot.stop() }
    }

    /// Looks how large the disks are now, and tells the guest.
    ///
    /// - Returns: The paths of those that changed.
    func rescan() -> [FilePath] {
        disks.filter { $0.rescan() }.map(\.path)
    }

    /// The disks that the guest has never driven.
    var unusedDisks: [FilePath] {
        zip(disks, slots).filter { !$1.transport.wasActivated }.map(\.0.path)
    }
}
