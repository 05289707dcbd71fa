// SPDX-License-Identifier: Apache-2.0

import Console
import Devices
import Host
import KVM
import Logging
import Platform

/// The devices that every PC has, at their fixed ports and on their fixed interrupt lines.
struct LegacyDevices: Sendable {
    let serialPort: SerialPort
    let keyboardController: I8042
    let clock: RealTimeClock
    let power: ACPIPowerPort
    let panicNotifier: Pvpanic
    let hostBridge: PCIHostBridge
    private let exitStatus: ExitStatusPort?

    /// Makes the devices and connects their interrupt lines.
    ///
    /// - Parameters:
    ///   - vm: The machine, with its interrupt controllers.
    ///   - console: The other end of the serial port; `nil` for a silent line.
    ///   - timers: The thread that timers of devices fire on.
    ///   - hasExitStatusPort: Whether the guest may end the machine with a status of its own.
    ///   - logger: The log of guest errors, at a limited rate.
    ///   - onRequest: Called from vCPU threads when the guest asks something of the machine.
    /// - Throws: `MachineError.kvm` when the kernel refuses a line.
    init(
        vm: KVMVirtualMachine,
        console: MachineConsole?,
        timers: WorkThread,
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
            output: console ?? SilentLine(),
            input: console.flatMap { $0.takesInput ? $0 : nil },
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
        let timer = DeviceThreadTimer(on: timers)
        let clock = RealTimeClock(
            interrupt: try line(X86Layout.rtcGSI),
            timer: timer,
            faults: faults("real-time clock"),
            clock: HostClock.sinceEpoch
        )
        timer.setHandler { [weak clock] in clock?.timerFired() }
        self.clock = clock
        panicNotifier = Pvpanic(faults: faults("pvpanic"), onRequest: onRequest)
        hostBridge = PCIHostBridge(onRequest: onRequest)
        exitStatus =
            hasExitStatusPort ? ExitStatusPort(faults: faults("exit-status port"), onRequest: onRequest) : nil
    }

    /// Puts the devices onto the port bus.
    func insert(into bus: inout BusBuilder) throws(BusError) {
        func insert(_ device: any BusDevice, at port: UInt16, _ count: UInt64, _ name: String) throws(BusError) {
            try bus.insert(device, at: BusRange(start: UInt64(port), byteCount: count), named: name)
        }
        try insert(serialPort, at: X86Layout.com1, 8, "serial port")
        try insert(keyboardController.dataPort, at: X86Layout.i8042Data, 1, "keyboard data")
        try insert(keyboardController.commandPort, at: X86Layout.i8042Command, 1, "keyboard command")
        try insert(clock, at: X86Layout.rtcIndex, 2, "real-time clock")
        try insert(power, at: X86Layout.acpiPower, 4, "ACPI power")
        try insert(panicNotifier, at: X86Layout.pvpanic, 1, "pvpanic")
        try insert(hostBridge, at: X86Layout.pciConfiguration, 8, "PCI host bridge")
        if let exitStatus { try insert(exitStatus, at: X86Layout.exitStatus, 4, "exit status") }
    }

    /// Lets no timer fire until `resume`.
    func pause() { clock.pause() }

    func resume() { clock.resume() }
}

/// A serial line without another end: output is dropped.
private struct SilentLine: SerialOutput {
    var hasRoom: Bool { true }

    func write(_: UInt8) -> Bool { true }
}
