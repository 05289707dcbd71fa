// SPDX-License-Identifier: Apache-2.0

package import Firmware
package import GuestMemory
package import MachineModel
import Platform
package import SystemPackage

/// Loads a kernel, its initrd and its boot structures into guest memory, and returns its entry state.
///
/// Guest memory must be fresh, which is to say zero: bss is not written.
package struct LinuxLoader: Sendable {
    let memory: GuestMemory

    package init(memory: GuestMemory) {
        self.memory = memory
    }

    /// Loads everything that the first vCPU needs.
    ///
    /// - Parameters:
    ///   - kernel: The image with the kernel.
    ///   - entry: Which entry point to use; the article "Entry points" has the rules.
    ///   - initrd: The file with the initial RAM disk.
    ///   - commandLine: The kernel command line.
    ///   - rsdp: Where the ACPI tables begin, if there are any.
    ///   - virtioDevices: The devices that a kernel without ACPI finds on its command line; the tables that `rsdp` names
    ///     have them too.
    ///   - hasIdentityPage: Whether the guest finds an `IdentityPage`; PVH has no place for it.
    ///   - rngSeed: Random bytes for the guest's own generator, 32 or more, at most 4096; empty for none. PVH has no
    ///     place for them.
    /// - Returns: The place of everything, and the state in which the first vCPU starts.
    /// - Throws: The fault, and the file that has it. Guest memory holds parts of the kernel then.
    package func load(
        _ kernel: KernelImage,
        entry: EntryChoice = .automatic,
        initrd: FilePath? = nil,
        commandLine: KernelCommandLine,
        rsdp: GuestAddress? = nil,
        virtioDevices: [FirmwareDescription.VirtioDevice] = [],
        hasIdentityPage: Bool = false,
        rngSeed: [UInt8] = []
    ) throws(BootError) -> LoadedKernel {
        precondition(rngSeed.count <= SetupData.seedLimit, "the seed is too large")
        let limit = min(kernel.commandLineLimit, Int(X86Layout.commandLineCapacity) - 1)
        try commandLine.check(limit: limit)
        let memoryMap = try MemoryMap(of: memory)
        let setupData = SetupData(hasIdentityPage: hasIdentityPage, rngSeed: rngSeed)
        let plan = MemoryPlan(
            memory: memory,
            // The longest that it may become: whether it does is known when the kernel lies in its place.
            commandLine: commandLine.announcing(virtioDevices),
            setupDataByteCount: UInt64(setupData.bytes.count)
        )
        var notes: [String] = []
        // Opened first: a wrong path is reported before the kernel is unpacked.
        let initrdFile = try initrd.map(InitrdFile.init)

        var program = KernelProgram(memory: memory, plan: plan)
        let placed = try program.load(kernel, entry: entry)
        notes += placed.note.map { [$0] } ?? []
        let initrdRange = try initrdFile.flatMap { file throws(BootError) in
            try file.load(into: program.plan, last: placed.header?.initrdLast ?? UInt64(UInt32.max), &notes)
        }
        if let initrd, let start = try initrdFile?.start() {
            do throws(GuestMemoryError) {
                notes += try InitrdSupport.note(on: start, initrd, for: placed, in: memory).map { [$0] } ?? []
            } catch {
                throw .memory(error)
            }
        }
        let usesACPI = try usesACPI(placed, commandLine, rsdp: rsdp)
        let announcement = usesACPI ? [] : virtioDevices
        let fullCommandLine = commandLine.announcing(announcement)
        try fullCommandLine.check(limit: limit)
        let boot = BootStructures(
            placed: placed,
            commandLine: fullCommandLine,
            initrd: initrdRange,
            rsdp: rsdp,
            setupData: setupData,
            memoryMap: memoryMap
        )
        do {
            try boot.write(to: memory)
        } catch {
            throw .memory(error)
        }
        return LoadedKernel(
            state: boot.state,
            entryProtocol: placed.entryProtocol,
            kernelRange: placed.range,
            initrdRange: initrdRange,
            memoryMap: memoryMap,
            usesACPI: usesACPI,
            notes: notes
        )
    }

    /// Returns whether the kernel finds devices by the tables, and not by its command line.
    private func usesACPI(
        _ kernel: PlacedKernel,
        _ commandLine: KernelCommandLine,
        rsdp: GuestAddress?
    ) throws(BootError) -> Bool {
        guard rsdp != nil, !ACPIUse.isOff(on: commandLine) else { return false }
        do {
            return try ACPIUse.isBuilt(into: kernel, in: memory)
        } catch {
            throw .memory(error)
        }
    }
}

/// The registers and memory that a kernel finds when it is entered.
package enum EntryProtocol: String, Hashable, Sendable, CustomStringConvertible {
    /// Linux's 64-bit boot protocol: long mode, `boot_params` in RSI.
    case linux64
    /// Xen's PVH: 32-bit protected mode without paging, `hvm_start_info` in EBX.
    case pvh

    package var description: String { rawValue }
}

/// The image that a loader put into guest memory, and the way to start it.
package struct LoadedKernel: Hashable, Sendable {
    /// The state in which the first vCPU starts.
    package let state: BootState
    package let entryProtocol: EntryProtocol
    /// The physical addresses from the kernel's first to its last byte, bss included.
    package let kernelRange: Range<GuestAddress>
    package let initrdRange: Range<GuestAddress>?
    package let memoryMap: MemoryMap
    /// Indicates whether the kernel has ACPI and uses it; also where nobody can tell.
    package let usesACPI: Bool
    /// Notes for the user, such as the reason for using the image's own entry; one line each.
    package let notes: [String]
}
