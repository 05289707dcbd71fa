// SPDX-License-Identifier: Apache-2.0

import LinuxBoot
package import MachineModel

/// The kernel parameters that Martlet adds to the user's.
package struct KernelParameters: Sendable {
    package let values: [String]
    /// Indicates whether a warm reset of the guest means a panic: see `warmResetOnPanic`.
    let reportsPanicByReset: Bool

    /// The console is the serial port; a panic resets at once, as everything else that ends a machine does.
    private static let base = ["console=ttyS0", "panic=-1", warmResetOnPanic]
    /// From the kernel's first line on: one that dies early shall say why.
    private static let earlyConsole = "earlyprintk=ttyS0,115200"

    /// Reset through the keyboard controller, warm after a panic and cold otherwise.
    ///
    /// Linux leaves 1234h at 472h for the firmware before a warm reset. So a machine without pvpanic in its kernel
    /// tells a panic from a reboot all the same (kernel/reboot.c, arch/x86/kernel/reboot.c).
    private static let warmResetOnPanic = "reboot=k,panic_warm"

    /// The parameters for the root file system, unless the other parameters say otherwise.
    private static func root(for configuration: MachineConfiguration, _ others: [String]) -> [String] {
        guard let disk = configuration.drives.first(where: \.isRoot), !others.contains(where: { $0.hasPrefix("root=") })
        else { return [] }
        return ["root=" + (disk.partitionID.map { "PARTUUID=\($0)" } ?? "/dev/vda"), disk.isReadOnly ? "ro" : "rw"]
    }

    package init(for configuration: MachineConfiguration, isHostInterpreting: Bool) {
        let source = configuration.bootSource
        guard source?.isCommandLineComplete != true else {
            (values, reportsPanicByReset) = ([], false)
            return
        }
        let image = source?.imageParameters ?? ""
        let others = KernelCommandLine.kernelWords(in: "\(image) \(source?.commandLine ?? "")")
        values =
            Self.base
            // It would print what "quiet" holds back, until the kernel has read that word.
            + (others.contains("quiet") ? [] : [Self.earlyConsole])
            + Self.root(for: configuration, others) + configuration.networkParameters
            + (isHostInterpreting ? InterpretedHost.kernelParameters : []) + (image.isEmpty ? [] : [image])
        // Another way to reset may be a warm one.
        reportsPanicByReset = !others.contains { $0.hasPrefix("reboot=") }
    }
}
