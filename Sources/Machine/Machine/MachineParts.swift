// SPDX-License-Identifier: Apache-2.0

import Platform
import Console
import Devices
import Dispatch
import GuestMemory
import Host
import KVM
import LinuxBoot
import Logging
import MachineModel
import Metadata
import Snapshot
import Storage
import SystemPackage

/// Everything that a machine consists of, put together in the one order in which it can be.
final class MachineParts: Sendable {
    let notes: [String]
    /// Indicates whether the guest's kernel finds devices, and the power button, by ACPI.
    let guestUsesACPI: Bool
    let devices: DeviceManager
    let console: MachineConsole
    /// The same where its other end is the guest's serial port; `nil` where that is a program in the guest.
    let serialConsole: MachineConsole?
    /// The guest's end of the console.
    let consolePort: any ConsolePort
    let runners: [VCPURunner]

    // Kept for the machine's life: the kernel holds no reference to the memory of its slots.
    let memory: GuestMemory
    let vm: KVMVirtualMachine
    /// The MSRs that are a vCPU's state.
    let stateMSRs: [UInt32]
    let configuration: MachineConfiguration
    /// The way to a guest that takes part in snapshots.
    let snapshotPoint: SnapshotPoint?
    /// Indicates whether the guest's kernel leaves a mark before a reset that is for a panic: see `KernelParameters`.
    let reportsPanicByReset: Bool

    /// Assembles a machine, then loads its kernel or its saved state.
    init(
        _ start: MachineStart,
        console attachment: ConsoleAttachment,
        timers: WorkThread,
        metadata: MetadataService,
        logger: Logger,
        link: MachineLink
    ) throws(MachineError) {
        let isInterpreted = InterpretedHost.isThisHost
        // First what needs no KVM: a wrong path is reported on any host.
        let configuration: MachineConfiguration
        let kernel: LoadableKernel?
        let foundation: MachineFoundation
        var vcpus: [KVMVCPU] = []
        // Open until the disks are.
        var copies: [PrivateCopy] = []
        defer { withExtendedLifetime(copies) {} }
        switch start {
        case .boot(let wanted):
            configuration = wanted
            try configuration.validateForHost()
            kernel = try LoadableKernel(configuration, isHostInterpreting: isInterpreted)
            ProcessMemory.endStep()
            foundation = try MachineFoundation(memory: configuration.size.memoryByteCount)
            vcpus = try inMachineTerms(MachineError.kvm) { () throws(KVMError) in
                try foundation.makeVCPUs(configuration.size.vcpuCount)
            }
        case .restore(let snapshot, let options):
            configuration = try snapshot.configuration(options, copies: &copies)
            kernel = nil
            let byteCount = configuration.size.memoryByteCount
            let begun = try options.headStart?.takeFoundation(memory: byteCount)
            foundation = if let begun { begun } else { try MachineFoundation(memory: byteCount) }
        }

        let (system, memory, vm) = (foundation.system, foundation.memory, foundation.vm)
        var resources = foundation.resources
        let console = try inMachineTerms(MachineError.console) { () throws(Errno) in
            // No viewer comes later to a console that belongs to this machine alone: its output is not kept.
            let console =
                if let console = attachment.console { console } else {
                    try MachineConsole(replays: false, logger: logger)
                }
            try console.connect(attachment) { link.handle($0) }
            return console
        }
        if kernel != nil { ProcessMemory.endStep() }
        let serialConsole = attachment.port == nil ? console : nil
        let devices = try DeviceManager(
            configuration,
            resources: &resources,
            vm: vm,
            memory: memory,
            console: serialConsole,
            timers: timers,
            metadata: metadata,
            logger: logger
        ) { link.handle($0) }
        let snapshotPoint =
            configuration.size.hasSnapshotPoint
            ? SnapshotPoint(page: IdentityPage(in: memory), keyboard: devices.legacy.keyboardController) : nil
        self.snapshotPoint = snapshotPoint
        let emulation = isInterpreted ? InstructionCompletion(memory: memory) : nil
        switch start {
        case .boot:
            ProcessMemory.endStep()
            try inMachineTerms(MachineError.kvm) { () throws(KVMError) in
                try Self.prepare(vcpus, system, configuration.size, isInterpreted: isInterpreted)
            }
            ProcessMemory.endStep()
            let loaded = try kernel?.load(into: memory, configuration, virtioDevices: devices.firmwareDescriptions)
            try inMachineTerms(MachineError.kvm) { () throws(KVMError) in
                if let state = loaded?.state { try vcpus.first?.enter(state) }
            }
            ProcessMemory.endStep()
            (notes, guestUsesACPI) = ((loaded?.notes ?? []) + (kernel?.notes ?? []), loaded?.usesACPI ?? false)
            reportsPanicByReset = kernel?.parameters.reportsPanicByReset ?? false
        case .restore(let snapshot, let options):
            let saved = snapshot.machine
            let begun = try options.headStart?.takeVCPUs()
            // The devices were made while they got their state.
            vcpus = if let begun { begun } else { try foundation.restore(snapshot, clock: options.clock) }
            // Behind the interrupt controllers: lines whose cause is pending are raised again.
            try devices.restore(saved.devices)
            if var state = saved.console {
                if console.replays, state.sent.bytes.isEmpty {
                    state.sent.bytes = try inMachineTerms(MachineError.snapshot) { () throws(SnapshotError) in
                        try snapshot.folder.console()
                    }
                }
                console.restore(state)
            }
            try Self.giveIdentity(options, saved, memory, devices.legacy, snapshotPoint)
            (notes, guestUsesACPI, reportsPanicByReset) = ([], saved.guest.usesACPI, saved.guest.reportsPanicByReset)
        }
        runners = vcpus.map {
            VCPURunner(vcpu: $0, ports: devices.ports, memory: devices.memory, emulation: emulation)
        }
        stateMSRs = try inMachineTerms(MachineError.kvm) { () throws(KVMError) in try system.stateMSRs() }
        consolePort = attachment.port ?? devices.legacy.serialPort
        (self.console, self.serialConsole) = (console, serialConsole)
        (self.devices, self.configuration) = (devices, configuration)
        (self.memory, self.vm) = (memory, vm)
    }

    /// The addresses of guest memory in this process.
    var guestMemoryRanges: [Range<UInt64>] {
        memory.regions.map { $0.hostAddress..<$0.hostAddress + $0.byteCount }
    }

    /// Returns whether the guest, which is being reset, was to be reset because it panicked: see `KernelParameters`.
    func isResetAfterPanic() -> Bool {
        let resetFlag: GuestAddress = 0x472
        let warm: UInt16 = 0x1234
        return reportsPanicByReset && (try? memory.load(UInt16.self, at: resetFlag)) == warm
    }

    // MARK: - Standing still

    /// Lets all threads, which are at the gate, stand before their first step.
    ///
    /// - Parameter group: Is entered until they do.
    func hold(joining group: DispatchGroup) {
        for runner in runners { runner.pause(joining: group) }
        devices.hold(joining: group)
        console.pause()
    }

    /// Returns when nothing changes guest memory any more.
    func pause() {
        let arrivals = DispatchGroup()
        for runner in runners { runner.pause(joining: arrivals) }
        arrivals.wait()
        devices.pause()
        console.pause()
    }

    /// Lets all go on.
    func resume() {
        console.resume()
        devices.resume()
        for runner in runners { runner.resume() }
    }

    /// The cause of an end, where the machine itself tells only its effect.
    func explained(_ outcome: MachineOutcome) -> MachineOutcome {
        switch outcome {
        case .tripleFault, .failed:
            // A guest whose memory is gone runs into a fault, and the call that runs it may fail.
            memory.truncatedFile.map { .failed(.snapshot(.truncated($0))) } ?? outcome
        default: outcome
        }
    }

    // MARK: - Steps

    /// Makes new vCPUs what a guest finds after its firmware; those of a saved machine get all of it from its state.
    private static func prepare(
        _ vcpus: [KVMVCPU],
        _ system: KVMSystem,
        _ size: MachineSize,
        isInterpreted: Bool
    ) throws(KVMError) {
        let topology = CPUIDTopology(
            supported: try system.supportedCPUID(),
            vcpuCount: vcpus.count,
            pairsThreads: size.isSimultaneousMultithreaded,
            hasTSCDeadlineTimer: system.value(of: .tscDeadlineTimer) != 0,
            isHostInterpreting: isInterpreted
        )
        for (index, vcpu) in vcpus.enumerated() {
            try vcpu.setCPUID(topology.entries(apicID: UInt32(index)))
            try vcpu.prepareAsFirmware()
        }
    }
}

/// Calls `body` and wraps its error in `MachineError`.
func inMachineTerms<R, E: Error>(
    _ wrap: (E) -> MachineError,
    _ body: () throws(E) -> R
) throws(MachineError) -> R {
    do throws(E) {
        return try body()
    } catch {
        throw wrap(error)
    }
}
