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
import SystemPackage
import Virtio

/// A virtio device in its place: registers, interrupt line, kicks, and the thread that serves it.
final class VirtioSlot: Sendable {
    let name: String
    /// What the firmware tables and the command line tell of it.
    let description: FirmwareDescription.VirtioDevice
    let transport: MMIOTransport

    private let device: any VirtioDevice
    private let loop: EventLoop

    /// Puts `device` into slot `index`.
    ///
    /// - Parameters:
    ///   - device: Not yet connected to a transport.
    ///   - name: What messages call it.
    ///   - index: Below `VirtioDeviceSet.capacity`; decides about address and interrupt line.
    ///   - vm: Has its interrupt controllers.
    ///   - memory: The guest's.
    ///   - logger: Where what the guest does wrong is logged.
    /// - Throws: `MachineError.kvm` where the kernel refuses a line, `descriptor` where there is none left.
    init(
        _ device: any VirtioDevice,
        name: String,
        index: Int,
        vm: KVMVirtualMachine,
        memory: GuestMemory,
        logger: Logger
    ) throws(MachineError) {
        let base = X86Layout.virtioMMIO.rawValue + UInt64(index) * X86Layout.virtioMMIOWindow
        let gsi = X86Layout.virtioGSIs[index]
        description = FirmwareDescription.VirtioDevice(base: GuestAddress(rawValue: base), gsi: gsi)
        var kicks: [EventFD] = []
        do throws(Errno) {
            for _ in device.queueMaximumSizes { kicks.append(try EventFD()) }
        } catch {
            throw .descriptor(name, error)
        }
        let sources = kicks.enumerated().map { queue, kick in
            EventLoop.Source(kick.descriptor) { device.processQueue(queue) }
        }
        do throws(KVMError) {
            for (queue, kick) in kicks.enumerated() {
                try vm.connect(kick, toWritesOf: UInt32(queue), at: base + MMIORegister.queueNotify.rawValue)
            }
        } catch {
            throw .kvm(error)
        }
        transport = MMIOTransport(
            device: device,
            memory: memory,
            interrupt: try IRQFD(vm: vm, gsi: gsi),
            faults: GuestFaultLog(device: name, logger: logger),
            // The way of a kick that KVM did not turn into an event, such as one of another width.
            onKick: { [kicks] queue in kicks[queue].signal() }
        )
        do throws(Errno) {
            loop = try EventLoop(name, sources: sources + device.eventSources)
        } catch {
            throw .descriptor(name, error)
        }
        (self.device, self.name) = (device, name)
    }

    /// Starts the device's thread.
    ///
    /// - Parameter gate: Holds the thread until all of the machine's are there.
    /// - Throws: `HostThreadError`.
    func start(gate: StartGate?) throws(HostThreadError) {
        try loop.start(gate: gate)
    }

    /// Asks the device's thread to stand still.
    ///
    /// - Parameter group: Is entered for as long as it may still work.
    func pause(joining group: DispatchGroup) {
        loop.pause(joining: group)
    }

    /// Waits for the device's input and output, while its thread stands still.
    func drain() {
        device.drain(.guestMemory)
    }

    /// Goes on, with the kicks that came meanwhile.
    func resume() {
        loop.resume()
    }

    /// Ends the device's thread, and waits for its input and output; no vCPU runs any more.
    func stop() {
        loop.stop()
        device.reset()
    }
}
