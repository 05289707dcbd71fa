// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ContainerMachine
import Glibc
import GuestAgent
import Host
import Logging
import Machine
import MachineAPI
import MachineModel
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

    @Option(help: "The name that the container has for itself.")
    var hostname = "container"

    @Flag(help: "Give the program a root file system that it cannot write to.")
    var readOnly = false

    @Option(help: "The number of vCPUs, 1 to 32.")
    var cpus = 1

    @Option(help: ArgumentHelp("Guest memory: 256M, 4G; a number alone is in MiB.", valueName: "size"))
    var memory = MemorySize(byteCount: 128 << 20)

    @Flag(help: "Say more of what happens.")
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

    func run() throws {
        do {
            throw ExitCode(Int32(try runContainer()))
        } catch let error as ExitCode {
            throw error
        } catch {
            // As engines do: the program's own statuses stay apart from Martlet's.
            Messages.write("\(error)")
            throw ExitCode(125)
        }
    }

    private func runContainer() throws -> UInt8 {
        let cache = try ImageCache()
        let image = try StoredImage(ImageReference(self.image), in: cache) { Messages.write($0) }
        let program = try program(of: image)
        let scratch = try DiskFile.privateCopy(of: try cache.scratch(), in: cache.folder)
        let folder = try SocketFolder()
        var configuration = try ContainerGuest.configuration(vcpuCount: cpus)
        configuration.size.vcpuCount = cpus
        configuration.size.memoryMiB = Int(clamping: memory.byteCount >> 20)
        var base = Drive("base", path: image.root.hostText, isRoot: false)
        base.isReadOnly = true
        configuration.drives = [base, Drive("scratch", path: scratch.path.hostText, isRoot: false)]
        configuration.vsock = Vsock(path: folder.path.appending("vsock").hostText)
        let isVerbose = verbose
        let log = MonitorLog(identifier: "container", isVerbose: verbose) { event in
            if isVerbose { Messages.write("\(event.level): \(event.text)") }
        }
        return try withExtendedLifetime((scratch, folder)) {
            try ContainerMachine(configuration, program, input: options.input, log: log) { Messages.write($0) }.run()
        }
    }

    /// Makes the program of what the image says and of the options.
    private func program(of image: StoredImage) throws -> GuestProgram {
        let given = command.first == "--" ? Array(command.dropFirst()) : command
        let defaults = image.configuration
        let start = entrypoint.map { $0.isEmpty ? [] : [$0] } ?? defaults.entrypoint
        // The image's own arguments belong to its own entry point.
        let rest = given.isEmpty && entrypoint == nil ? defaults.command : given
        var program = GuestProgram(start + rest)
        guard !program.arguments.isEmpty else { throw ImageError("the image names no program: name one behind it") }
        let user = try image.users.user(options.user ?? defaults.user)
        var identity = GuestProgram.User()
        (identity.id, identity.group, identity.otherGroups) = (user.id, user.group, user.otherGroups)
        program.user = identity
        program.capabilities = ContainerDefaults.capabilities(of: user.id)
        program.environment = [ContainerDefaults.path, "HOSTNAME=\(hostname)", "HOME=\(user.home)"]
            .merging(options.terminalType)
            .merging(defaults.environment)
            .merging(options.variables)
        program.folder = options.folder ?? (defaults.folder.isEmpty ? "/" : defaults.folder)
        program.hasTerminal = options.tty
        var container = GuestContainer(base: "/dev/vda")
        container.scratch = "/dev/vdb"
        container.isReadOnly = readOnly
        container.hostName = hostname
        container.time = .now
        let resolver = (try? FileContents.bytes(of: "/etc/resolv.conf", limit: 1 << 16)) ?? []
        container.mounts = ContainerDefaults.mounts + ContainerDefaults.files(hostName: hostname, resolver: resolver)
        program.place = .newContainer(container)
        return program
    }
}

/// A folder that only this user can enter, for a machine's socket; gone with the value.
final class SocketFolder {
    let path: FilePath

    init() throws {
        let base = ProcessArguments.environment("XDG_RUNTIME_DIR") ?? "/tmp"
        var template = Array("\(base)/martlet-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else {
            throw ImageError("no folder for a socket: \(Errno(rawValue: errno))")
        }
        path = FilePath(platformString: template)
    }

    deinit { FolderTree.remove(path) }
}
