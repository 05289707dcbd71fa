// SPDX-License-Identifier: Apache-2.0

import Firmware
import GuestMemory
import Host
import LinuxBoot
import MachineModel
import Platform
import SystemPackage

/// A kernel's image and command line, found to be good before anything is made.
struct LoadableKernel {
    let parameters: KernelParameters
    /// Notes for the user before the guest starts.
    let notes: [String]
    private let image: KernelImage
    private let commandLine: KernelCommandLine
    private let source: BootSource

    /// Opens the kernel.
    init(_ configuration: MachineConfiguration, isHostInterpreting: Bool) throws(MachineError) {
        guard let source = configuration.bootSource else {
            throw .configuration(ConfigurationError("boot-source", "is missing"))
        }
        self.source = source
        let parameters = KernelParameters(for: configuration, isHostInterpreting: isHostInterpreting)
        (image, commandLine) = try inMachineTerms(MachineError.boot) { () throws(BootError) in
            (
                try KernelImage(path: FilePath(hostText: source.kernelPath)),
                try KernelCommandLine(defaults: parameters.values, user: source.commandLine ?? "")
            )
        }
        self.parameters = parameters
        notes =
            isHostInterpreting
            ? DistributionKernel.note(version: image.version, commandLine: source.commandLine ?? "").map { [$0] } ?? []
            : []
    }

    /// Writes firmware tables, kernel and initial RAM disk into guest memory.
    ///
    /// - Returns: The state to enter the kernel with.
    /// - Throws: `MachineError.assembly` or `boot`.
    func load(
        into memory: GuestMemory,
        _ configuration: MachineConfiguration,
        virtioDevices: [FirmwareDescription.VirtioDevice]
    ) throws(MachineError) -> LoadedKernel {
        let firmware = FirmwareDescription(
            apicIDs: (0..<configuration.size.vcpuCount).map(UInt32.init),
            virtioDevices: virtioDevices
        )
        let rsdp: GuestAddress
        do throws(FirmwareError) {
            rsdp = try ACPITables(firmware).install(in: memory)
            try MPTable(firmware).install(in: memory)
            try ResetVector.install(in: memory)
            try GenerationID.renew(in: memory)
        } catch {
            throw .assembly("\(error)")
        }
        return try inMachineTerms(MachineError.boot) { () throws(BootError) in
            try LinuxLoader(memory: memory).load(
                image,
                entry: source.entry,
                initrd: source.initrdPath.map { FilePath(hostText: $0) },
                commandLine: commandLine,
                rsdp: rsdp,
                // A command line that is complete is the user's alone; the ACPI tables tell of the devices in any case.
                virtioDevices: source.isCommandLineComplete ? [] : firmware.virtioDevices,
                hasIdentityPage: configuration.size.hasSnapshotPoint,
                rngSeed: (0..<64).map { _ in .random(in: .min ... .max) }
            )
        }
    }
}
