// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ContainerMachine
import Glibc
import GuestAgent
import Host
import JSON
import Machine
import MachineModel
import MachineSession
import SystemPackage

/// The places of a container's files, as martlet-runtime mounts them for the two commands below.
private enum ContainerFiles {
    static let base = "/m/base.ext4"
    static let scratch = "/m/scratch.ext4"
    static let socket = "/c/vsock"
    static let network: FilePath = "/c/network.json"
    static let template: FilePath = "/c/template.json"
    /// Locked by the process that makes the template.
    static let making: FilePath = "/c/making"
    static let templates: FilePath = "/m/templates"
    static let description: FilePath = "/c/container.json"
    /// The socket of a pod, where its machine is.
    static let pod: FilePath = "/c/pod"
    /// The same two, and the vsock of that machine, for its containers.
    static let podOfMember: FilePath = "/p/pod"
    static let socketOfMember: FilePath = "/p/vsock"

    /// The processes of a container end with its machine, so none waits for a guest that is gone.
    static func connect(to socket: FilePath) throws(AgentError) -> AgentConnection {
        try AgentConnection(to: socket, patience: AgentConnection.bootPatience)
    }
}

/// `martlet container`: the process of a container that an engine runs; martlet-runtime starts it.
///
/// It runs the machine of the container, or that of a whole pod; or it is the host's side of a container in the machine of its pod.
struct ContainerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "container",
        abstract: "For martlet-runtime.",
        shouldDisplay: false
    )

    @Argument var description: String

    func run() throws {
        do {
            let bytes = try FileContents.bytes(of: FilePath(hostText: description), limit: 16 << 20)
            let container = try JSONValue(parsing: bytes)
            throw ExitCode(Int32(try run(container)))
        } catch let error as ExitCode {
            throw error
        } catch {
            Messages.write("\(error)")
            throw ExitCode(125)
        }
    }

    private func run(_ container: JSONValue) throws -> UInt8 {
        if let member = PodMember(container["member"]) { return try run(container["config"], as: member) }
        var configuration = try ContainerGuest.configuration(
            vcpuCount: Int(clamping: container["vcpu_count"].integerValue ?? 1)
        )
        configuration.size.memoryMiB = Int(clamping: container["memory_mib"].integerValue ?? 128)
        configuration.vsock = Vsock(path: ContainerFiles.socket)
        // There is none where the container has no network.
        let description = try? FileContents.bytes(of: ContainerFiles.network, limit: 1 << 20)
        let network = try ContainerNetwork(try description.map { try JSONValue(parsing: $0) } ?? [])
        configuration.networkInterfaces = network.interfaces
        var settings = SessionSettings()
        settings.console = .none
        if container["is_pod"] == true {
            let disks = try PodDisks(interfaceCount: network.interfaces.count)
            configuration.drives = disks.drives
            settings.pod = PodSettings(socket: ContainerFiles.pod, disks: disks, interfaces: network.guestInterfaces)
        } else {
            configuration.drives = [
                Drive("base", path: ContainerFiles.base, isReadOnly: true),
                Drive("scratch", path: ContainerFiles.scratch),
            ]
            let program = try RuntimeSpecification.container(
                container["config"],
                base: "/dev/vda",
                scratch: "/dev/vdb",
                interfaces: network.guestInterfaces,
                guestMiB: configuration.size.memoryMiB
            )
            settings.program = try MachineProgram(program, hasInput: true)
        }
        return try MachineSession(settings).run(start(configuration))
    }

    /// Runs a container in the machine of its pod, to its end.
    private func run(_ configuration: JSONValue, as member: PodMember) throws -> UInt8 {
        var place: PodPlace?
        let status = try ExecCommand.run(input: .standardInput) {
            let given = try PodPlace(
                in: ContainerFiles.podOfMember,
                base: FilePath(ContainerFiles.base),
                scratch: FilePath(ContainerFiles.scratch)
            )
            place = given
            return try RuntimeSpecification.container(
                configuration,
                base: given.base,
                scratch: given.scratch,
                of: member
            )
        } connect: {
            try ContainerFiles.connect(to: ContainerFiles.socketOfMember)
        }
        return withExtendedLifetime(place) { UInt8(truncatingIfNeeded: status.rawValue) }
    }

    /// Continues from the template that martlet-runtime has named, when that is made, or boots.
    private func start(_ configuration: MachineConfiguration) -> MachineStart {
        guard let bytes = try? FileContents.bytes(of: ContainerFiles.template, limit: 1 << 10),
            let name = (try? JSONValue(parsing: bytes))?["name"].string
        else { return .boot(configuration) }
        // Signals that come meanwhile wait for the program, as during a boot.
        if let lock = try? OwnedDescriptor(opening: ContainerFiles.making, O_RDONLY) {
            lock.borrowed.waitForLock(shared: true)
        }
        guard let snapshot = ReadySnapshots(folder: ContainerFiles.templates).snapshot(name) else {
            return .boot(configuration)
        }
        return .restore(snapshot, RestoreOptions(hostSidesOf: configuration))
    }
}

/// `martlet container-exec`: another process in such a container.
struct ContainerExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "container-exec",
        abstract: "For martlet-runtime.",
        shouldDisplay: false
    )

    @Argument var process: String

    func run() throws {
        let bytes = try FileContents.bytes(of: ContainerFiles.description, limit: 16 << 20)
        let container = try JSONValue(parsing: bytes)
        let member = PodMember(container["member"])
        var program = try RuntimeSpecification.program(
            JSONValue(parsing: process.hostBytes),
            in: container["config"]
        )
        program.place = .container(member?.name ?? GuestContainer.onlyName)
        throw try ExecCommand.run(input: .standardInput) { [program] in
            program
        } connect: {
            try ContainerFiles.connect(
                to: member == nil ? FilePath(ContainerFiles.socket) : ContainerFiles.socketOfMember
            )
        }
    }
}
