// SPDX-License-Identifier: Apache-2.0

import Firmware
import Platform
import Devices
import GuestMemory
import Host
import KVM
import LinuxBoot
import Logging
import MachineModel
import SystemPackage

/// Everything that a machine consists of, put together in the one order in which it can be.
final class MachineParts: Sendable {
    let notes: [String]
    /// Whether the guest's kernel finds devices, and the power button, by ACPI.
    let guestUsesACPI: Bool
    let devices: DeviceManager
    let console: MachineConsole
    let runners: [VCPURunner]

    private let memory: GuestMemory
    // Kept for the machine's life: the kernel holds no reference to the memory of its slots.
    private let vm: KVMVirtualMachine
    private let parameters: KernelParameters

    init(
        _ configuration: MachineConfiguration,
        console attachment: ConsoleAttachment,
        logger: Logger,
        link: MachineLink
    ) throws(MachineError) {
        try configuration.validateForHost()
        guard let source = configuration.bootSource else {
            throw .configuration(ConfigurationError("boot-source", "is missing"))
        }
        let isInterpreted = InterpretedHost.isThisHost
        let parameters = KernelParameters(for: configuration, isHostInterpreting: isInterpreted)
        let (kernel, commandLine) = try inMachineTerms(MachineError.boot) { () throws(BootError) in
            // First what needs no KVM: a wrong path is told on any host.
            (
                try KernelImage(path: FilePath(hostText: source.kernelPath)),
                try KernelCommandLine(defaults: parameters.values, user: source.commandLine ?? "")
            )
        }

        let system = try inMachineTerms(MachineError.kvm) { () throws(KVMError) in
            try Self.openKVM(vcpuCount: configuration.size.vcpuCount)
        }
        let memory = try inMachineTerms(MachineError.memory) { () throws(GuestMemoryError) in
            try GuestMemory(byteCount: configuration.size.memoryByteCount)
        }
        var resources = PlatformResources()
        let vm = try inMachineTerms(MachineError.kvm) { () throws(KVMError) in
            try Self.makeVirtualMachine(system, memory, &resources)
        }
        let console = try inMachineTerms(MachineError.console) { () throws(Errno) in
            try MachineConsole(attachment, link: link)
        }
        let devices = try DeviceManager(
            configuration,
            resources: &resources,
            vm: vm,
            memory: memory,
            console: console,
            logger: logger
        ) { link.handle($0) }
        let firmware = FirmwareDescription(
            apicIDs: (0..<configuration.size.vcpuCount).map(UInt32.init),
            virtioDevices: devices.firmwareDescriptions
        )
        let rsdp: GuestAddress
        do throws(FirmwareError) {
            rsdp = try ACPITables(firmware).install(in: memory)
            try MPTable(firmware).install(in: memory)
            try ResetVector.install(in: memory)
        } catch {
            throw .assembly("\(error)")
        }
        let loaded = try inMachineTerms(MachineError.boot) { () throws(BootError) in
            try LinuxLoader(memory: memory).load(
                kernel,
                entry: source.entry,
                initrd: source.initrdPath.map { FilePath(hostText: $0) },
                commandLine: commandLine,
                rsdp: rsdp,
                // A command line that is complete is the user's alone; the ACPI tables tell of the devices in any case.
                virtioDevices: source.isCommandLineComplete ? [] : firmware.virtioDevices,
                rngSeed: (0..<64).map { _ in .random(in: .min ... .max) }
            )
        }
        let emulation = isInterpreted ? InstructionCompletion(memory: memory) : nil
        runners = try inMachineTerms(MachineError.kvm) { () throws(KVMError) in
            let vcpus = try Self.makeVCPUs(vm, system, count: configuration.size.vcpuCount, isInterpreted: isInterpreted)
            try vcpus.first?.enter(loaded.state)
            return vcpus.map {
                VCPURunner(vcpu: $0, ports: devices.ports, memory: devices.memory, emulation: emulation)
            }
        }
        notes = loaded.notes
        guestUsesACPI = loaded.usesACPI
        (self.devices, self.console) = (devices, console)
        (self.memory, self.vm, self.parameters) = (memory, vm, parameters)
    }

    /// Where guest memory is mapped in this process.
    var guestMemoryRanges: [Range<UInt64>] {
        memory.regions.map { $0.hostAddress..<$0.hostAddress + $0.byteCount }
    }

    /// Whether the guest, which is being reset, was to be reset because it panicked: see `KernelParameters`.
    func isResetAfterPanic() -> Bool {
        let resetFlag: GuestAddress = 0x472
        let warm: UInt16 = 0x1234
        return parameters.reportsPanicByReset && (try? memory.load(UInt16.self, at: resetFlag)) == warm
    }

    // MARK: - Steps

    private static func openKVM(vcpuCount: Int) throws(KVMError) -> KVMSystem {
        let system = try KVMSystem()
        let missing = system.missing(from: Capability.required)
        guard missing.isEmpty else { throw .missingCapabilities(missing) }
        guard vcpuCount <= system.maximumVCPUCount else {
            throw .tooManyVCPUs(asked: vcpuCount, maximum: system.maximumVCPUCount)
        }
        return system
    }

    private static func makeVirtualMachine(
        _ system: KVMSystem,
        _ memory: GuestMemory,
        _ resources: inout PlatformResources
    ) throws(KVMError) -> KVMVirtualMachine {
        let vm = try system.makeVirtualMachine()
        // Before the interrupt controllers and the timer: these register on KVM's buses, which begins an SRCU grace period, and
        // KVM_SET_USER_MEMORY_REGION would wait for its end, 4 to 7 ms.
        for region in memory.regions {
            try vm.setMemory(
                slot: resources.allocateMemorySlot(),
                guestAddress: region.start.rawValue,
                byteCount: region.byteCount,
                hostAddress: region.hostAddress
            )
        }
        try vm.reserveRealModePages(tss: X86Layout.tss.rawValue, identityMap: X86Layout.identityMap.rawValue)
        try vm.makeInterruptControllers()
        try vm.makeTimer()
        if system.value(of: .exitOnEmulationFailure) != 0 { try vm.enableExitOnEmulationFailure() }
        return vm
    }

    private static func makeVCPUs(
        _ vm: KVMVirtualMachine,
        _ system: KVMSystem,
        count: Int,
        isInterpreted: Bool
    ) throws(KVMError) -> [KVMVCPU] {
        let topology = CPUIDTopology(
            supported: try system.supportedCPUID(),
            vcpuCount: count,
            hasTSCDeadlineTimer: system.value(of: .tscDeadlineTimer) != 0,
            isHostInterpreting: isInterpreted
        )
        var vcpus: [KVMVCPU] = []
        for index in 0..<count {
            let vcpu = try vm.makeVCPU(index: index)
            try vcpu.setCPUID(topology.entries(apicID: UInt32(index)))
            try vcpu.prepareAsFirmware()
            vcpus.append(vcpu)
        }
        return vcpus
    }
}

/// Calls `body` and says its error as the machine's.
private func inMachineTerms<R, E: Error>(
    _ wrap: (E) -> MachineError,
    _ body: () throws(E) -> R
) throws(MachineError) -> R {
    do throws(E) {
        return try body()
    } catch {
        throw wrap(error)
    }
}
