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
}

/// `martlet container`: the process of a container that an engine runs; martlet-runtime starts it.
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
        var configuration = try ContainerGuest.configuration(
            vcpuCount: Int(clamping: container["vcpu_count"].integerValue ?? 1)
        )
        configuration.size.memoryMiB = Int(clamping: container["memory_mib"].integerValue ?? 128)
        configuration.drives = [
            Drive("base", path: ContainerFiles.base, isReadOnly: true), Drive("scratch", path: ContainerFiles.scratch),
        ]
        configuration.vsock = Vsock(path: ContainerFiles.socket)
        // There is none where the container has no network.
        let description = try? FileContents.bytes(of: ContainerFiles.network, limit: 1 << 20)
        let network = try ContainerNetwork(try description.map { try JSONValue(parsing: $0) } ?? [])
        configuration.networkInterfaces = network.interfaces
        let program = try RuntimeSpecification.container(
            container["config"],
            base: "/dev/vda",
            scratch: "/dev/vdb",
            interfaces: network.guestInterfaces
        )
        var settings = SessionSettings()
        settings.console = .none
        settings.program = try MachineProgram(program, hasInput: true)
        return try MachineSession(settings).run(start(configuration))
    }

    /// Goes on from the template that martlet-runtime has named, when that is made, or boots.
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
        var program = try RuntimeSpecification.program(JSONValue(parsing: process.hostBytes))
        program.place = .container(GuestContainer.onlyName)
        throw try ExecCommand.run(program, input: .standardInput) {
            try AgentConnection(to: FilePath(ContainerFiles.socket))
        }
    }
}
