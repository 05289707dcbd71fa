// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import LinuxBoot
import Logging
import Machine
import SystemPackage

/// `martlet run`: boots a kernel with its console on this terminal.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Boot a Linux kernel, with its console on this terminal.",
        discussion: """
            Without KERNEL the default guest of guest-images/ runs.

            EXIT STATUS
              0    the guest powered off or rebooted, or you stopped it
              2    the guest's kernel panicked, or a vCPU shut down (triple fault)
              1    an error of Martlet or of this host
              64   wrong usage
              N    what the guest wrote to the exit-status port (--exit-status-port)
            A signal ends Martlet as a shell expects, with status 128 + its number.
            """
    )

    @Argument(help: "A bzImage or an ELF vmlinux.", completion: .file())
    var kernel: String?

    @Option(help: "The initial RAM disk.", completion: .file())
    var initrd: String?

    @Option(name: .customLong("disk"), help: DiskOption.help, completion: .file(), transform: DiskOption.init(parsing:))
    var disks: [DiskOption] = []

    @Option(
        help: ArgumentHelp(
            "Keep the default guest's disk in PATH, and go on with what is there; else it ends with the machine.",
            valueName: "path"
        ),
        completion: .file()
    )
    var keep: String?

    @Flag(help: "Give the guest no random numbers of the host's (virtio-entropy).")
    var noEntropy = false

    @Option(help: "Kernel parameters, added after Martlet's own.")
    var cmdline = ""

    @Option(
        help: ArgumentHelp(
            "The whole kernel command line, instead of Martlet's own parameters (also root= and virtio_mmio.device=).",
            valueName: "cmdline"
        )
    )
    var cmdlineOnly: String?

    @Option(help: "The number of vCPUs, 1 to 32.")
    var cpus = 1

    @Option(help: ArgumentHelp("Guest memory: 256M, 4G; a number alone is in MiB.", valueName: "size"))
    var memory = MemorySize(byteCount: 128 << 20)

    @Option(
        help: ArgumentHelp(
            """
            Which way into the kernel: automatic; elf (the unpacked kernel's 64-bit entry); pvh; image (the bzImage's \
            own entry, which unpacks the kernel inside the guest and places it at random).
            """,
            valueName: "entry"
        )
    )
    var entry = EntryChoice.automatic

    @Option(
        help: ArgumentHelp(
            "Where the console leads: stdio, file:PATH (output; input comes from standard input), or none.",
            valueName: "where"
        )
    )
    var console = ConsoleOption.stdio

    @Option(help: ArgumentHelp("The key before console commands: ctrl-a to ctrl-z, or none.", valueName: "key"))
    var escape = EscapeKey.standard

    @Option(
        help: ArgumentHelp(
            "Run the machine in a process of its own that outlives this terminal, under this name.",
            valueName: "name"
        )
    )
    var name: String?

    @Flag(name: .shortAndLong, help: "Do the same and come back at once; without --name it gets one, which is printed.")
    var detach = false

    @Flag(name: .customLong("rm"), help: "Remove a machine that has a name as soon as it has ended.")
    var remove = false

    @Option(
        help: ArgumentHelp(
            "Take all about the machine from a JSON file, as Firecracker's --config-file.",
            valueName: "path"
        ),
        completion: .file()
    )
    var config: String?

    @Option(
        help: ArgumentHelp(
            "Serve the REST API of `martlet api` on a socket at PATH (with --config).",
            valueName: "path"
        ),
        completion: .file()
    )
    var apiSocket: String?

    @Flag(help: "Let the guest end the machine with a status of its own, by writing it to port 0x501.")
    var exitStatusPort = false

    @Flag(name: .shortAndLong, help: "Say more of what happens.")
    var verbose = false

    mutating func validate() throws {
        if cmdlineOnly != nil, !cmdline.isEmpty {
            throw ValidationError("--cmdline and --cmdline-only exclude each other.")
        }
        if kernel == nil, initrd != nil {
            throw ValidationError("--initrd needs a KERNEL; the default guest boots from a disk.")
        }
        try validateNamed()
        let defaultDisks = disks.filter(\.isDefault)
        if defaultDisks.count > 1 {
            throw ValidationError("The default disk can be there once only.")
        }
        if keep != nil, kernel != nil || !disks.isEmpty, defaultDisks.isEmpty {
            throw ValidationError("--keep keeps the default guest's disk, which this machine does not have.")
        }
        do {
            try machineConfiguration(kernel: "kernel").validate()
        } catch {
            throw ValidationError("\(error)")
        }
    }

    mutating func run() throws {
        if let config { throw try runConfigurationFile(FilePath(config)) }
        let messages = MessageOutput(isVerbose: verbose)
        let needsGuest = kernel == nil || disks.contains(where: \.isDefault)
        let guest = needsGuest ? try DefaultGuest.find(vcpuCount: cpus) : nil
        let defaultDisk = try guest.flatMap { guest in
            disks.isEmpty || disks.contains(where: \.isDefault) ? try DefaultDisk(of: guest, keptAt: keep) : nil
        }
        var configuration: MachineConfiguration
        if let kernel {
            configuration = machineConfiguration(kernel: FilePath(kernel))
            configuration.initrd = initrd.map { FilePath($0) }
        } else if let guest {
            configuration = machineConfiguration(kernel: guest.kernel)
            configuration.imageParameters = guest.parameters
        } else {
            return
        }
        if let defaultDisk {
            if disks.isEmpty { configuration.disks = [DiskConfiguration(path: defaultDisk.path)] }
            for (index, disk) in disks.enumerated() where disk.isDefault {
                configuration.disks[index].path = defaultDisk.path
            }
        }
        defer { withExtendedLifetime(defaultDisk) {} }
        if isNamed { throw try runNamed(configuration, disk: defaultDisk) }
        let session = try ConsoleSession(console, escape: escape)
        let outcome = try session.run(configuration, messages: messages)
        throw ExitCode(outcome)
    }

    private func machineConfiguration(kernel: FilePath) -> MachineConfiguration {
        var configuration = MachineConfiguration(kernel: kernel)
        configuration.entry = entry
        configuration.commandLine = cmdlineOnly ?? cmdline
        configuration.isCommandLineComplete = cmdlineOnly != nil
        configuration.vcpuCount = cpus
        configuration.memoryByteCount = memory.byteCount
        configuration.hasExitStatusPort = exitStatusPort
        configuration.disks = disks.map(\.configuration)
        configuration.hasEntropyDevice = !noEntropy
        return configuration
    }
}

extension EntryChoice: ExpressibleByArgument {}
