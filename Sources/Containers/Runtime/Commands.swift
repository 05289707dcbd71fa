// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import RootImage
import SystemPackage

/// `start`: ties the container's network to the machine, which is then restored from a template, or boots.
struct StartCommand {
    let options: RuntimeOptions

    /// - Returns: The error where runc cannot be run; does not return otherwise.
    func run() throws -> RuntimeProblem {
        let state = try ContainerState(options)
        guard state.exists else { return try Delegate.replaceThisProcess(options.arguments) }
        let origin = try state.originDescription()
        // The pod's machine has the network.
        if origin["member"] == true { return try Delegate.replaceThisProcess(options.arguments) }
        let interfaces = try ContainerNetwork.tie(of: try state.process(of: origin), isPod: origin["pod"] == true)
        if !interfaces.isEmpty { try state.write(.array(interfaces), to: state.network) }
        try MachineTemplate(for: origin, interfaceCount: interfaces.count)?.offer(to: state)
        return try Delegate.replaceThisProcess(options.arguments)
    }
}

/// `exec`: a program in a container's guest, whose process on the host passes its streams on.
struct ContainerExecCommand {
    var options: RuntimeOptions

    /// - Returns: The error where runc cannot be run; does not return otherwise.
    mutating func run() throws -> RuntimeProblem {
        let state = try ContainerState(options)
        guard state.exists else { return try Delegate.replaceThisProcess(options.arguments) }
        guard let file = options["--process"] else {
            throw RuntimeProblem("exec needs --process FILE, as engines give it")
        }
        let process = try state.read(FilePath(hostText: file))
        // As an argument: the container's file system is not the engine's to write to.
        let outer = OuterContainer.onHost(
            process.with("args", ["/m/bin/martlet", "container-exec", .string(process.text)])
        )
        options.replace("--process", by: try state.handOver(outer, as: "exec"))
        return try Delegate.replaceThisProcess(options.arguments)
    }
}

/// `delete`: removes what both runtimes keep.
struct DeleteCommand {
    let options: RuntimeOptions

    func run() throws {
        let state = try ContainerState(options)
        let status = try Delegate.run(options.arguments)
        // A container that runc does not know any more is gone for Martlet too.
        if status == 0 || options.has("--force") || options.has("-f") {
            let origin = try? state.originDescription()
            if let namespace = origin?["network_namespace"].string { ContainerNetwork.untie(namespace) }
            if let path = origin?["cgroup"].string { LostCgroup.remove(path) }
            state.remove()
        }
        exit(status)
    }
}

/// `state`: what runc says, with the engine's own bundle.
struct StateCommand {
    let options: RuntimeOptions

    func run() throws {
        let state = try ContainerState(options)
        guard state.exists else { throw try Delegate.replaceThisProcess(options.arguments) }
        let ending = try HostProgram.run(try Delegate.find(), options.arguments)
        guard ending.status == 0, let answer = try? JSONValue(parsing: Array(ending.text.utf8)) else {
            try? FileDescriptor.standardError.write(all: ending.text.utf8)
            exit(ending.status == 0 ? 1 : ending.status)
        }
        print(answer.with("bundle", try state.originDescription()["bundle"]).prettyText)
    }
}

/// `update`: limits of the host, with the room for the machine.
struct UpdateCommand {
    var options: RuntimeOptions

    /// - Returns: The error where runc cannot be run; does not return otherwise.
    mutating func run() throws -> RuntimeProblem {
        let state = try ContainerState(options)
        guard state.exists, let file = options["--resources"] else {
            return try Delegate.replaceThisProcess(options.arguments)
        }
        let resources = try state.read(file == "-" ? "/dev/stdin" : FilePath(hostText: file))
        let origin = try state.originDescription()
        let guest = origin["memory_mib"].integerValue ?? 0
        let limit = resources["memory"]["limit"].integerValue ?? 0
        if origin["member"] == true, limit > 0, limit != origin["memory_limit"].integerValue {
            throw RuntimeProblem("a container in a pod's machine keeps the memory limit that it was created with")
        }
        if limit > 0, limit >> 20 < guest {
            throw RuntimeProblem("a machine's memory cannot shrink while it runs: the guest has \(guest) MiB")
        }
        let changed = OuterContainer.withRoomForMachine(resources, guest)
        options.replace("--resources", by: try state.handOver(changed, as: "update"))
        return try Delegate.replaceThisProcess(options.arguments)
    }
}

/// `pause` and `resume`: of a machine as a whole.
struct PauseCommand {
    let options: RuntimeOptions

    /// - Returns: The error where runc cannot be run; does not return otherwise.
    func run() throws -> RuntimeProblem {
        let state = try ContainerState(options)
        if state.exists, try state.originDescription()["member"] == true {
            throw RuntimeProblem("a container in a pod's machine cannot be paused by itself: pause the pod's sandbox")
        }
        return try Delegate.replaceThisProcess(options.arguments)
    }
}

extension Delegate {
    /// Runs the host's runtime to its end, with this process's streams.
    static func run(_ arguments: [String]) throws(RuntimeProblem) -> CInt {
        let launch = ProcessLaunch(try find(), arguments: arguments)
        let child: RunningProcess
        do throws(Errno) { child = try launch.start() } catch {
            throw RuntimeProblem("cannot run \(launch.program): \(error)")
        }
        return child.takeStatus()
    }
}
