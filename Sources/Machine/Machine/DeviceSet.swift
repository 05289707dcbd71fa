// SPDX-License-Identifier: Apache-2.0

import Platform
import Devices
import GuestMemory
import KVM
import Logging

/// The devices of one machine, on their buses and interrupt lines.
struct DeviceSet: Sendable {
    let ports: Bus
    let memory: Bus
    let serialPort: SerialPort
    let keyboardController: I8042
    let power: ACPIPowerPort

    /// Makes the devices and connects their interrupt lines.
    ///
    /// - Parameters:
    ///   - vm: Has its interrupt controllers.
    ///   - output: Takes what the guest sends to its console.
    ///   - input: Is told when the guest's console takes input.
    ///   - virtio: The virtio devices, which go onto the memory bus.
    ///   - hasExitStatusPort: Whether the guest may end the machine with a status of its own.
    ///   - logger: Where what the guest does wrong is logged, at a limited rate.
    ///   - onRequest: Called from vCPU threads when the guest asks something of the machine.
    /// - Throws: `MachineError.assembly` when two devices claim a port, `kvm` when the kernel refuses a line.
    init(
        vm: KVMVirtualMachine,
        output: any SerialOutput,
        input: (any SerialInput)?,
        virtio: VirtioDeviceSet,
        hasExitStatusPort: Bool,
        logger: Logger,
        onRequest: @escaping GuestRequestHandler
    ) throws(MachineError) {
        func faults(_ device: String) -> GuestFaultLog { GuestFaultLog(device: device, logger: logger) }
        func line(_ gsi: UInt32) throws(MachineError) -> IRQFD {
            try IRQFD(vm: vm, gsi: gsi)
        }
        serialPort = SerialPort(
            interrupt: try line(X86Layout.com1GSI),
            output: output,
            input: input,
            faults: faults("serial port")
        )
        keyboardController = I8042(
            interrupt: try line(X86Layout.keyboardGSI),
            faults: faults("keyboard controller"),
            onRequest: onRequest
        )
        power = ACPIPowerPort(
            interrupt: try line(X86Layout.acpiEventGSI),
            faults: faults("ACPI power port"),
            onRequest: onRequest
        )
        let timer = DispatchDeviceTimer(label: "martlet.rtc")
        let clock = RealTimeClock(
            interrupt: try line(X86Layout.rtcGSI),
            timer: timer,
            faults: faults("real-time clock"),
            clock: HostClock.sinceEpoch
        )
        timer.setHandler { [weak clock] in clock?.timerFired() }
        var builder = BusBuilder.ports
        var memoryBuilder = BusBuilder.memory
        do throws(BusError) {
            try virtio.insert(into: &memoryBuilder)
            func insert(_ device: any BusDevice, at port: UInt16, _ count: UInt64, _ name: String) throws(BusError) {
                try builder.insert(device, at: BusRange(start: UInt64(port), byteCount: count), named: name)
            }
            try insert(serialPort, at: X86Layout.com1, 8, "serial port")
            try insert(keyboardController.dataPort, at: X86Layout.i8042Data, 1, "keyboard data")
            try insert(keyboardController.commandPort, at: X86Layout.i8042Command, 1, "keyboard command")
            try insert(clock, at: X86Layout.rtcIndex, 2, "real-time clock")
            try insert(power, at: X86Layout.acpiPower, 4, "ACPI power")
            let pvpanic = Pvpanic(faults: faults("pvpanic"), onRequest: onRequest)
            try insert(pvpanic, at: X86Layout.pvpanic, 1, "pvpanic")
            if hasExitStatusPort {
                let exitStatus = ExitStatusPort(faults: faults("exit-status port"), onRequest: onRequest)
                try insert(exitStatus, at: X86Layout.exitStatus, 4, "exit status")
            }
        } catch {
            throw .assembly("\(error)")
        }
        ports = builder.build(faults: faults("port bus"))
        memory = memoryBuilder.build(faults: faults("MMIO bus"))
    }
}
