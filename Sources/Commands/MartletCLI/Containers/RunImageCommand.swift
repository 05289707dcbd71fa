// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ContainerMachine
import Glibc
import GuestAgent
import Host
import Machine
import MachineAPI
import MachineModel
import MachineRegistry
import MachineSession
import OCIImage
import RootImage
import Storage
import SystemPackage

/// `martlet run --image`: the program of a container image, in a machine of its own.
struct RunImageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run-image",
        abstract: "Run the program of a container image in a machine of its own.",
        usage: "martlet run --image <image> [<options>] [<command> ...]",
        discussion: """
            IMAGE is \(ImageReference.form).

            A machine with a name has the program's streams as its console: `martlet attach`, `logs`, `stop`, `wait`, `exec`, \
            `cp` and `top` work on it.

            EXIT STATUS
              N    the program's
              128 + the signal that ended the program
              127  there is no such program
              126  the program cannot be run
              125  the image, the machine or its guest failed
            """,
        shouldDisplay: false
    )

    @Option(help: ArgumentHelp("The image.", valueName: "image"), completion: .file())
    var image: String

    @OptionGroup var options: ProgramOptions

    @Option(help: ArgumentHelp("A program in place of the image's entry point; empty for none.", valueName: "program"))
    var entrypoint: String?

    @Option(help: "The container's host name. (default: the machine's name, or container)")
    var hostname: String?

    @Flag(help: "Make the program's root file system read-only.")
    var readOnly = false

    @Option(
        name: [.customShort("v"), .customLong("volume")],
        help: ArgumentHelp(
            "Copy a file or folder of the host into the container, up to 16 MiB: HOST:GUEST:ro.",
            valueName: "host:guest:ro"
        ),
        transform: { text throws(OptionProblem) in try VolumeOption(parsing: text) }
    )
    var volumes: [VolumeOption] = []

    @Option(
        help: ArgumentHelp(
            "The signal by which `martlet stop` asks the program to end. (default: the image's, or SIGTERM)",
            valueName: "signal"
        )
    )
    var stopSignal: String?

    @Option(help: "The number of vCPUs, 1 to 32.")
    var cpus = 1

    @Option(help: ArgumentHelp("Guest memory: 256M, 4G; a number alone is in MiB.", valueName: "size"))
    var memory = MemorySize(byteCount: 128 << 20)

    @OptionGroup var network: NetworkOptions

    @OptionGroup var naming: NameOptions

    @Option(help: ArgumentHelp("The key before console commands: ctrl-a to ctrl-z, or none.", valueName: "key"))
    var escape = EscapeKey.standard

    @Option(help: ArgumentHelp("The sandbox around the machine's process: on, log or off.", valueName: "mode"))
    var sandbox = Sandbox.Mode.on

    @OptionGroup var jailing: JailOptions

    @Flag(help: "Boot the guest instead of restoring a snapshot that an earlier container left.")
    var boot = false

    @Flag(help: "Print more messages.")
    var verbose = false

    @Argument(parsing: .captureForPassthrough, help: "A command in place of the image's.")
    var command: [String] = []

    /// Makes `run --image` this command: a kernel and a container's command are not one command line.
    static func arguments(from arguments: [String]) -> [String] {
        let options = arguments.prefix { $0 != "--" }
        guard arguments.first == "run", options.contains(where: { $0 == "--image" || $0.hasPrefix("--image=") }) else {
            return arguments
        }
        return ["run-image"] + arguments.dropFirst()
    }

    /// The options that are followed by a value, in a word of its own.
    private static let valueOptions: Set<String> = [
        "--image", "--env", "-e", "--workdir", "-w", "--user", "-u", "--entrypoint", "--hostname", "--volume", "-v",
        "--stop-signal", "--cpus", "--memory", "--net", "--network", "--publish", "-p", "--vsock", "--metadata",
        "--name",
        "--escape", "--sandbox", "--jail",
    ]

    /// The place of the container's command in a command line, whose words are not Martlet's; its end for one without an image.
    static func endOfOptions(in arguments: [String]) -> Int {
        guard Self.arguments(from: arguments) != arguments else { return arguments.count }
        var index = 1
        while index < arguments.count, arguments[index].hasPrefix("-"), arguments[index] != "--" {
            let next = index + 1 < arguments.count ? arguments[index + 1] : ""
            let isAlone = ["--net", "--network"].contains(arguments[index]) && !NetworkOption.isNetwork(next)
            index += valueOptions.contains(arguments[index]) && !isAlone ? 2 : 1
        }
        return index
    }

    mutating func validate() throws {
        if !naming.detach { try options.checkTerminal() }
        // --user is the container's here.
        try jailing.validate(in: sandbox, user: nil, advice: "needs another user: start the machine as that one")
        if let stopSignal, SignalName.number(stopSignal) == nil {
            throw ValidationError("--stop-signal: '\(stopSignal)' is not a signal; write one such as SIGTERM.")
        }
        if let vsock = network.vsock, vsock.vsock == nil {
            throw ValidationError("--vsock none: Martlet reaches a container over vsock. Leave the option out.")
        }
        guard memory.byteCount % (1 << 20) == 0 else { throw ValidationError("--memory takes whole MiB.") }
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: "kernel"))
        describe(&configuration)
        try RunCommand.validate(configuration)
    }

    mutating func run() throws {
        do {
            try network.choosePorts()
            throw try runContainer()
        } catch let error as ExitCode {
            throw error
        } catch {
            // As engines do: the program's own statuses stay apart from Martlet's.
            Messages.write("\(error)")
            throw ExitCode(125)
        }
    }

    private func runContainer() throws -> ExitCode {
        let cache = try ImageCache()
        let image = try StoredImage(ImageReference(self.image), in: cache) { Messages.write($0) }
        var configuration = try ContainerGuest.configuration(vcpuCount: cpus)
        describe(&configuration)
        let program = try MachineProgram(
            try program(of: image, in: configuration),
            image: self.image,
            hasInput: options.input != nil,
            stopSignal: try SignalName.stopSignal(stopSignal ?? image.configuration.stopSignal)
        )
        for volume in volumes {
            Messages.write("\(volume.source) was copied into the container: later changes do not show there")
        }
        let scratch = try DiskFile.privateCopy(of: try cache.scratch(), in: cache.folder)
        configuration.drives = [
            Drive("base", path: image.root.hostText, isReadOnly: true), Drive("scratch", path: scratch.path.hostText),
        ]
        return try withExtendedLifetime((scratch, program)) {
            try naming.isNamed || jailing.jail != nil
                ? runNamed(configuration, program, scratch) : runHere(configuration, program)
        }
    }

    private func describe(_ configuration: inout MachineConfiguration) {
        configuration.size.vcpuCount = cpus
        configuration.size.memoryMiB = Int(clamping: memory.byteCount >> 20)
        network.apply(to: &configuration)
    }

    /// Runs the program in a machine of this process, with this process's streams and signals.
    private func runHere(_ configuration: MachineConfiguration, _ program: MachineProgram) throws -> ExitCode {
        var configuration = configuration
        let folder = configuration.vsock == nil ? try Self.socketFolder() : nil
        if let folder { configuration.vsock = Vsock(path: folder.path.appending("vsock").hostText) }
        var settings = SessionSettings()
        settings.console = .none
        settings.isVerbose = verbose
        settings.sandbox.mode = sandbox
        settings.program = program
        if let folder {
            settings.sandbox.openedFolders = [folder.path]
            settings.sandbox.clearedFolders = [folder.path.parent]
        }
        let template = boot ? nil : ContainerTemplate(for: configuration)
        let start: MachineStart
        if let (snapshot, options) = restoration(from: template, of: configuration) {
            start = .restore(snapshot, options)
        } else {
            start = .boot(configuration)
            if let path = template?.place(for: configuration) { settings.saveTemplate(at: path) }
        }
        return try withExtendedLifetime(folder) { ExitCode(Int32(try MachineSession(settings).run(start))) }
    }

    /// A folder for a machine's socket.
    private static func socketFolder() throws -> DraftFolder {
        let parent = FilePath(hostText: ProcessArguments.environment("XDG_RUNTIME_DIR") ?? "/tmp")
        do throws(Errno) {
            return try DraftFolder(in: parent, prefix: "martlet-socket-")
        } catch {
            throw ImageError("cannot make a folder for a socket in \(parent): \(error)")
        }
    }

    private func restoration(
        from template: ContainerTemplate?,
        of configuration: MachineConfiguration
    ) -> (MachineSnapshot, RestoreOptions)? {
        guard let (snapshot, options) = template?.restoration(of: configuration) else { return nil }
        if verbose { RunCommand.tell(of: snapshot) }
        return (snapshot, options)
    }

    /// Runs the program in a machine that has a process of its own, and whose console is the program's.
    private func runNamed(
        _ configuration: MachineConfiguration,
        _ program: MachineProgram,
        _ scratch: PrivateCopy
    ) throws -> ExitCode {
        var configuration = configuration
        if verbose { configuration.logger = .init(level: .debug) }
        try configuration.checkFiles()
        let template = boot ? nil : ContainerTemplate(for: configuration)
        var source: MachineSource
        if let template, let (snapshot, options) = restoration(from: template, of: configuration) {
            source = MachineSource(restoring: snapshot, from: template.path, options)
        } else {
            source = MachineSource(configuration)
            source.pass(scratch.descriptor, at: scratch.path, as: "private-copy:scratch.ext4")
            source.template = template?.place(for: configuration)
        }
        source.run(programIn: program.descriptor)
        var settings = Sandbox.Settings()
        (settings.mode, settings.jail) = (sandbox, try jailing.folders())
        var start = NamedStart(naming, sandbox: settings, escape: escape)
        start.showsNotes = verbose
        return try start.launch(source, name: naming.machineName)
    }

    /// Makes the program from the image and the options.
    private func program(
        of image: StoredImage,
        in configuration: MachineConfiguration
    ) throws -> GuestProgram {
        let hostname = hostname ?? naming.name ?? "container"
        let given = command.first == "--" ? Array(command.dropFirst()) : command
        let defaults = image.configuration
        let start = entrypoint.map { $0.isEmpty ? [] : [$0] } ?? defaults.entrypoint
        // The image's own arguments belong to its own entry point.
        let rest = given.isEmpty && entrypoint == nil ? defaults.command : given
        var program = GuestProgram(start + rest)
        guard !program.arguments.isEmpty else { throw ImageError("the image names no program: name one after it") }
        let user = try image.users.user(options.user ?? defaults.user)
        program.user = GuestProgram.User(id: user.id, group: user.group, otherGroups: user.otherGroups)
        program.capabilities = ContainerDefaults.capabilities(of: user.id)
        program.environment = [ContainerDefaults.path, "HOSTNAME=\(hostname)", "HOME=\(user.home)"]
            .merging(options.terminalType)
            .merging(defaults.environment)
            .merging(options.variables)
        program.folder = options.folder ?? (defaults.folder.isEmpty ? "/" : defaults.folder)
        program.hasTerminal = options.tty
        if options.tty { program.size = FileDescriptor.standardInput.terminalSize }
        var container = GuestContainer(base: "/dev/vda")
        container.scratch = "/dev/vdb"
        container.isReadOnly = readOnly
        container.hostName = hostname
        container.mounts =
            ContainerDefaults.mounts
            + ContainerDefaults.files(hostName: hostname, resolver: Self.resolver(configuration)) + volumes.map(\.mount)
        program.place = .newContainer(container)
        return program
    }
}

extension RunImageCommand {
    /// The contents of the container's resolv.conf: the name servers of the machine's networks, or else the host's.
    private static func resolver(_ configuration: MachineConfiguration) -> [UInt8] {
        let servers = configuration.addressedInterfaces.compactMap { try? $0.guestAddresses()?.nameServer }
        guard servers.isEmpty else { return Array(servers.map { "nameserver \($0)\n" }.joined().utf8) }
        return (try? FileContents.bytes(of: "/etc/resolv.conf", limit: 1 << 16)) ?? []
    }
}

extension SignalName {
    /// The signal of an image that may name none.
    fileprivate static func stopSignal(_ text: String) throws(ImageError) -> CInt {
        if text.isEmpty { return SIGTERM }
        guard let number = number(text) else {
            throw ImageError("the image's StopSignal is '\(printable(text))', not a signal: give --stop-signal")
        }
        return number
    }
}
