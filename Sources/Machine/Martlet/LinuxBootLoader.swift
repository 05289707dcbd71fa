// SPDX-License-Identifier: Apache-2.0

import LinuxBoot
import Machine

/// The kernel that a machine boots, and what it is given.
public struct LinuxBootLoader: Hashable, Sendable {
    /// Which way into the kernel.
    public enum EntryPoint: Hashable, Sendable, CaseIterable {
        /// The fastest way that the image offers.
        case automatic
        /// The 64-bit entry point of the ELF image, which a bzImage holds compressed.
        case elf
        /// The 32-bit PVH entry point that an ELF note names.
        case pvh
        /// The bzImage's own 64-bit entry: its code unpacks the kernel and places it at random (KASLR).
        case image
    }

    /// What the kernel is told of its root file system, where ``commandLine`` has no `root=`.
    public enum RootFileSystem: Hashable, Sendable {
        /// It is the whole first disk, if there is one.
        case firstDisk
        /// It is the partition of the first disk that has this identifier in its partition table (`PARTUUID`).
        case partition(String)
        /// Nothing: it is in the initial RAM disk, say.
        case unnamed
    }

    /// The path of the kernel: a bzImage, as distributions ship it, or an ELF image.
    public var kernelPath: String

    /// The path of the initial RAM disk, if any.
    public var initialRamdiskPath: String?

    /// Kernel parameters, separated by spaces.
    ///
    /// They come behind Martlet's own: the serial console, what a panic does, and the ``rootFileSystem``.
    public var commandLine: String

    /// Where the kernel finds its root file system.
    public var rootFileSystem = RootFileSystem.firstDisk

    /// Whether Martlet adds parameters of its own to ``commandLine``; else that is all that the kernel gets.
    public var addsDefaultParameters = true

    /// Which way into the kernel.
    public var entryPoint = EntryPoint.automatic

    /// Describes a kernel; no file is opened yet.
    ///
    /// - Parameters:
    ///   - kernelPath: A bzImage or an ELF image.
    ///   - initialRamdiskPath: The initial RAM disk, if any.
    ///   - commandLine: Kernel parameters, separated by spaces.
    public init(kernelPath: String, initialRamdiskPath: String? = nil, commandLine: String = "") {
        self.kernelPath = kernelPath
        self.initialRamdiskPath = initialRamdiskPath
        self.commandLine = commandLine
    }

    var entryChoice: EntryChoice {
        switch entryPoint {
        case .automatic: .automatic
        case .elf: .elf
        case .pvh: .pvh
        case .image: .image
        }
    }

    var machineRoot: MachineConfiguration.RootFileSystem {
        switch rootFileSystem {
        case .firstDisk: .firstDisk
        case .partition(let identifier): .partition(identifier)
        case .unnamed: .unnamed
        }
    }
}
