// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// Indicates whether a Linux kernel finds its devices by the ACPI tables.
///
/// A kernel that does not needs its virtio devices on the command line; one that does must not get them there, or it would have
/// each of them twice.
enum ACPIUse {
    /// In every kernel with `CONFIG_ACPI`: `__setup("acpi_osi=", …)` in drivers/acpi/osi.c.
    private static let marker = Array("acpi_osi=".utf8) + [0]

    /// Returns whether the kernel has ACPI.
    ///
    /// - Returns: `true` also where nobody can tell: the image is entered through its own code, which unpacks the kernel.
    /// - Throws: `outOfRange` if the kernel is not in guest memory.
    static func isBuilt(
        into kernel: PlacedKernel,
        in memory: GuestMemory
    ) throws(GuestMemoryError) -> Bool {
        guard kernel.imageAddress == nil else { return true }
        return try memory.contains(marker, in: kernel.range)
    }

    /// Returns whether the command line turns ACPI off, as `parse_acpi` in arch/x86/kernel/acpi/boot.c reads it.
    ///
    /// Of "off" and "force" the last one counts. All other values leave ACPI as it is, "ht" among them: kernels that
    /// knew it are older than `virtio_mmio.device=`.
    static func isOff(on commandLine: KernelCommandLine) -> Bool {
        var isOff = false
        for word in commandLine.kernelWords {
            switch word {
            case "acpi=off": isOff = true
            case "acpi=force": isOff = false
            default: break
            }
        }
        return isOff
    }
}
