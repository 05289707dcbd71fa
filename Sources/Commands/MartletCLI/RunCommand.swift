// SPDX-License-Identifier: Apache-2.0

public import ArgumentParser
import Host
import Machine
import MachineAPI
import MachineModel
import MachineSession
import SystemPackage

/// `martlet run`: boots a kernel with its console on this terminal.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Boot a Linux kernel, with its console on this terminal.",
        discussion: """
            Without KERNEL, the default guest of guest-images/ runs. With --config, a file describes the machine; other \
            options override what it says.

            With --image IMAGE, the program of a container image runs in a machine of its own: see \
            `martlet run --image IMAGE --help`.

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
            "Keep the default guest's disk in PATH for the next run; otherwise it ends with the machine.",
            valueName: "path"
        ),
        completion: .file()
    )
    var keep: String?

    @OptionGroup var network: NetworkOptions

    @Flag(help: "Leave out the device for the host's random numbers (virtio-entropy).")
    var noEntropy = false

    @Option(help: "Kernel parameters, added after Martlet's own.")
    var cmdline: String?

    @Option(
        help: ArgumentHelp(
            "The whole kernel command line, instead of Martlet's own parameters (also root= and virtio_mmio.device=).",
            valueName: "cmdline"
        )
    )
    var cmdlineOnly: String?

    @Option(help: "The number of vCPUs, 1 to 32. (default: 1)")
    var cpus: Int?

    @Option(
        help: ArgumentHelp("Guest memory: 256M, 4G; a number alone is in MiB. (default: 128M)", valueName: "size")
    )
    var memory: MemorySize?

    @Option(
        help: ArgumentHelp(
            """
            The entry point of the kernel: automatic; elf (the unpacked kernel's 64-bit entry); pvh; image (the bzImage's \
            own entry, which unpacks the kernel inside the guest and places it at random). (default: automatic)
            """,
            valueName: "entry"
        )
    )
    var entry: EntryChoice?

    @Option(
        help: ArgumentHelp(
            """
            The console's destination: stdio, none, or file:PATH, to which output is appended (input comes from standard \
            input, unless that is a terminal). (default: stdio)
            """,
            valueName: "where"
        )
    )
    var console: ConsoleOption?

    @Option(help: ArgumentHelp("The key that begins a console command: ctrl-a to ctrl-z, or none.", valueName: "key"))
    var escape = EscapeKey.standard

    @OptionGroup var naming: NameOptions

    @Option(
        help: ArgumentHelp(
            "Read the whole configuration from a JSON file, as Firecracker's --config-file does.",
            valueName: "path"
        ),
        completion: .file()
    )
    var config: String?

    @Option(
        help: ArgumentHelp("Serve the REST API of `martlet api` on a socket at PATH.", valueName: "path"),
        completion: .file()
    )
    var apiSocket: String?

    @OptionGroup(title: "Options of a saved machine")
    var restoring: RestoreArguments

    @Flag(help: "Boot the default guest, even if a snapshot of an earlier boot could be restored.")
    var boot = false

    @Flag(help: "Let the guest end the machine by writing an exit status to port 0x501.")
    var exitStatusPort = false

    @Option(
        help: ArgumentHelp(
            """
            The sandbox around the machine's process: on; log, which reports and allows system calls that are not in a \
            thread's list; off, for debuggers.
            """,
            valueName: "mode"
        )
    )
    var sandbox = Sandbox.Mode.on

    @Option(
        help: ArgumentHelp(
            "Read the lists of system calls from a file, in the JSON of Firecracker's seccompiler: docs/security.md.",
            valueName: "path"
        ),
        completion: .file()
    )
    var seccompFilter: String?

    @Option(
        help: ArgumentHelp(
            "Become this user before the guest runs: NAME, UID or UID:GID; needs root.",
            valueName: "user"
        )
    )
    var user: HostUser?

    @OptionGroup var jailing: JailOptions

    @Option(
        name: .customLong("allow"),
        help: ArgumentHelp(
            """
            Once the guest runs, let requests open files in DIR: another file for a disk, a snapshot by the API. Repeatable. \
            Without it a named machine opens files in its own folder alone, and others come from the commands; with \
            --api-socket it opens all.
            """,
            valueName: "dir"
        ),
        completion: .directory
    )
    var allowedFolders: [String] = []

    @Flag(help: "Print more messages.")
    var verbose = false

    mutating func validate() throws {
        if seccompFilter != nil, sandbox != .on {
            throw ValidationError("--seccomp-filter needs a sandbox: leave out --sandbox \(sandbox.rawValue).")
        }
        if cmdlineOnly != nil, cmdline != nil {
            throw ValidationError("--cmdline and --cmdline-only exclude each other.")
        }
        if kernel == nil, config == nil, initrd != nil {
            throw ValidationError("--initrd needs a KERNEL; the default guest boots from a disk.")
        }
        try validateRestored()
        try validateNamed()
        let defaultDisks = disks.filter(\.isDefault)
        if defaultDisks.count > 1 {
            throw ValidationError("The default disk can be given only once.")
        }
        if keep != nil, kernel != nil || config != nil || !disks.isEmpty, defaultDisks.isEmpty {
            throw ValidationError("--keep keeps the default guest's disk, which this machine does not have.")
        }
        if let memory, memory.byteCount % (1 << 20) != 0 {
            throw ValidationError("--memory takes whole MiB, and \(memory.byteCount) bytes are not.")
        }
        // With a kernel that the file, or the default guest, gives later.
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: kernel ?? "kernel"))
        apply(to: &configuration)
        try Self.validate(configuration)
    }

    mutating func run() throws {
        try network.choosePorts()
        if let folder = restoring.folder { throw try runRestored(folder) }
        let (configuration, disk) = try description()
        if isNamed { throw try runNamed(configuration, disk: disk) }
        throw try withExtendedLifetime(disk) { try runPlain(configuration) }
    }

    /// Runs the machine in this process.
    ///
    /// `prepare` is called when the machine is made, just before its guest runs, and may have it saved to `place`.
    func runHere(
        _ start: MachineStart,
        saving place: FilePath? = nil,
        prepare: (@Sendable (VirtualMachine) -> Void)? = nil
    ) throws -> ExitCode {
        var settings = SessionSettings()
        (settings.prepare, settings.savedBeneath) = (prepare, place?.parent)
        settings.sandbox.openedFolders = try allowed
        settings.console = if case .nowhere = console { .none } else { .standard }
        settings.escape = escape.filter
        settings.isVerbose = verbose
        settings.apiSocket = apiSocket.map { FilePath(hostText: $0) }
        settings.metadataFile = network.metadataFile
        (settings.sandbox.mode, settings.sandbox.user) = (sandbox, user)
        settings.sandbox.filterFile = seccompFilter.map { FilePath(hostText: $0) }
        return ExitCode(Int32(try MachineSession(settings).run(start)))
    }

    /// The folders in which requests open files.
    var allowed: [FilePath] {
        get throws {
            try allowedFolders.map { text in
                let path = FilePath(hostText: text)
                guard path.isFolder else { throw ValidationError("--allow: \(text) is not a folder.") }
                return path.absolute
            }
        }
    }

    // MARK: - Description

    /// Describes the machine: by the file, or the default guest, overridden by the options.
    private func description() throws -> (MachineConfiguration, DefaultDisk?) {
        var configuration = MachineConfiguration()
        if let config {
            configuration = try MachineConfiguration(file: FilePath(hostText: config))
        } else {
            configuration.entropy = EntropySource()
        }
        let bootsDefault = kernel == nil && config == nil
        let usesDefaultDisk = bootsDefault && disks.isEmpty || disks.contains(where: \.isDefault)
        var disk: DefaultDisk?
        if bootsDefault || usesDefaultDisk {
            let guest = try DefaultGuest.find(vcpuCount: cpus ?? configuration.size.vcpuCount)
            if bootsDefault {
                configuration.bootSource = BootSource(kernelPath: guest.kernel.hostText)
                configuration.bootSource?.imageParameters = guest.parameters.joined(separator: " ")
                configuration.size.hasSnapshotPoint = true
            }
            if usesDefaultDisk { disk = try DefaultDisk(of: guest, keptAt: keep) }
        }
        apply(to: &configuration)
        guard network.metadata == nil || configuration.metadataService != nil else {
            throw ValidationError("--metadata needs a network: add --net=user, or another one.")
        }
        if let disk {
            if disks.isEmpty { configuration.drives = [Drive("disk0", path: disk.path.hostText, isRoot: true)] }
            for index in disks.indices where disks[index].isDefault {
                configuration.drives[index].path = disk.path.hostText
            }
        }
        do throws(ConfigurationError) {
            try configuration.validate()
        } catch {
            throw APIError("\(config.map { "\($0): " } ?? "")\(error)")
        }
        return (configuration, disk)
    }

    private func apply(to configuration: inout MachineConfiguration) {
        if let kernel {
            configuration.bootSource = configuration.bootSource ?? BootSource(kernelPath: kernel)
            configuration.bootSource?.kernelPath = kernel
        }
        if let initrd { configuration.bootSource?.initrdPath = initrd }
        if let line = cmdlineOnly ?? cmdline {
            configuration.bootSource?.commandLine = line
            configuration.bootSource?.isCommandLineComplete = cmdlineOnly != nil
        }
        if let entry { configuration.bootSource?.entry = entry }
        if let cpus { configuration.size.vcpuCount = cpus }
        if let memory { configuration.size.memoryMiB = Int(clamping: memory.byteCount >> 20) }
        if exitStatusPort { configuration.size.hasExitStatusPort = true }
        if noEntropy { configuration.entropy = nil }
        network.apply(to: &configuration)
        if !disks.isEmpty {
            configuration.drives = disks.enumerated().map { index, disk in
                var drive = disk.drive
                (drive.id, drive.isRoot) = ("disk\(index)", index == 0)
                return drive
            }
        }
        switch console {
        case .file(let path):
            configuration.serial = SerialSettings(outputPath: path, rateLimit: configuration.serial?.rateLimit)
        case .stdio, .nowhere: configuration.serial?.outputPath = nil
        case nil: break
        }
    }

    /// Checks a description, and names options in errors.
    static func validate(_ configuration: MachineConfiguration) throws {
        do throws(MachineError) {
            try configuration.validateForHost()
        } catch {
            throw ValidationError(inTermsOfOptions(error))
        }
    }

    /// The names of options in place of the names that their fields have in a file.
    private static func inTermsOfOptions(_ error: MachineError) -> String {
        guard case .configuration(let error) = error else { return "\(error)" }
        let options = [
            "machine-config.vcpu_count": "--cpus", "machine-config.mem_size_mib": "--memory",
            "boot-source.boot_args": "--cmdline",
            "boot-source.kernel_image_path": "KERNEL", "boot-source.initrd_path": "--initrd", "drives": "--disk",
            "network-interfaces": "--net", "vsock.guest_cid": "--vsock: cid", "vsock.uds_path": "--vsock",
        ]
        if let option = options[error.field] { return "\(option): \(error.problem)" }
        let names = [
            "serial": "id", "path_on_host": "path", "guest_mac": "mac", "host_dev_name": "tap",
        ]
        for (section, option) in [("drives[", "--disk"), ("network-interfaces[", "--net")]
        where error.field.hasPrefix(section) {
            let field = error.field.split(separator: ".").last.map(String.init) ?? ""
            return "\(option): \(names[field] ?? field): \(error.problem)"
        }
        return "\(error.field): \(error.problem)"
    }
}

extension EntryChoice: ExpressibleByArgument {}
extension Sandbox.Mode: ExpressibleByArgument {}

extension HostUser: ExpressibleByArgument {
    init?(argument: String) {
        self.init(argument)
    }
}
