// SPDX-License-Identifier: Apache-2.0

import CContainers
import Glibc
import GuestAgent
import Host
import JSON
import RootImage
import SystemPackage

/// `create`: makes the container's disk, and a bundle in which runc runs Martlet in place of the program.
struct CreateCommand {
    private var options: RuntimeOptions
    private let state: ContainerState

    init(_ options: RuntimeOptions) throws(RuntimeProblem) {
        self.options = options
        state = try ContainerState(options)
    }

    /// - Returns: The error where runc cannot be run; does not return otherwise.
    mutating func run() throws -> RuntimeProblem {
        let bundle = FilePath(hostText: options["--bundle"] ?? ".").absolute
        let original = try state.read(bundle.appending("config.json"))
        let role = try PodRole(original, options)
        if role.isSandbox, try PodRole.isOff(original["annotations"]) {
            // It holds the pod's namespaces, and sleeps.
            return try Delegate.replaceThisProcess(options.arguments)
        }
        try Unserved.check(original)
        let installation = try Installation()
        let root = FilePath(hostText: original["root"]["path"].string ?? "rootfs")
        let tree = root.isAbsolute ? root : bundle.pushing(root)
        if !role.isSandbox {
            try ProgramLookup.check(original["process"], inRoot: tree, mounts: original["mounts"].elements)
        }
        try state.make()
        do {
            var outer = OuterContainer(installation, state)
            var origin: JSONValue = [
                "bundle": .string(bundle.hostText),
                "pid_file": .string(FilePath(hostText: pidFile).absolute.hostText),
                "cgroup": original["linux"]["cgroupsPath"],
                "martlet": .string(installation.command.hostText), "images": .string(installation.images.hostText),
            ]
            var description: JSONValue = [:]
            if !role.isSandbox {
                let cache = try ImageCache()
                let (scratch, isBundles) = try makeScratch(bundle, cache)
                outer.disks = (try cache.base(of: tree), scratch)
                if !isBundles { origin = origin.with("scratch", .string(scratch.hostText)) }
                var copies = MountCopies(into: state.shared.appending("files"))
                let mounts = try copies.copied(original["mounts"].elements)
                description = description.with(
                    "config",
                    original.with("mounts", .array(mounts)).with("hooks", nil)
                        .with("filter", try SeccompProfile.filter(of: original)?.description)
                )
            }
            if case .member(let pod) = role {
                outer.pod = pod.state.shared
                description = description.with("config", pod.completed(description["config"]))
                    .with("member", try pod.description(of: original, state))
                origin = origin.with("member", true)
                    .with("memory_limit", original["linux"]["resources"]["memory"]["limit"])
            } else {
                let size = try MachineSize(of: original, isPod: role.isSandbox)
                let templates = try MachineTemplate.folder()
                (outer.machine, outer.templates) = (size, templates)
                let (memory, vcpus): (JSONValue, JSONValue) = (.integer(size.memoryMiB), .integer(size.vcpuCount))
                description = description.with("memory_mib", memory).with("vcpu_count", vcpus)
                let network = original["linux"]["namespaces"].elements.first { $0["type"] == "network" }
                origin = origin.with("network_namespace", network?["path"])
                    .with("memory_mib", memory).with("vcpu_count", vcpus)
                    .with("boots", .bool(try boots(original["annotations"])))
                    .with("templates", .string(templates.hostText))
            }
            if role.isSandbox {
                description = description.with("is_pod", true)
                origin = origin.with("pod", true).with("sysctl", original["linux"]["sysctl"])
            }
            try state.write(description, to: state.shared.appending("container.json"))
            try state.saveOrigin(origin)
            try state.write(try outer.configuration(for: original), to: state.folder.appending("config.json"))
        } catch {
            state.remove()
            throw error
        }
        options.replace("--bundle", by: state.folder.hostText)
        options.replace("--pid-file", by: pidFile)
        return try Delegate.replaceThisProcess(options.arguments)
    }

    /// The file that gets the number of the container's process, which `start` asks for.
    private var pidFile: String { options["--pid-file"] ?? state.folder.appending("pid").hostText }

    /// The disk for the container's writes: kept in the engine's own folder, if that lasts.
    private func makeScratch(_ bundle: FilePath, _ cache: ImageCache) throws -> (FilePath, Bool) {
        let isMemory = bundle.isInMemory
        if isMemory { removeLostScratches(cache) }
        let path = isMemory ? cache.folder.appending(scratchName(state)) : bundle.appending("martlet-scratch.ext4")
        guard isMemory || !path.exists else { return (path, !isMemory) }
        try cache.makeScratch(path)
        return (path, !isMemory)
    }

    private func scratchName(_ state: ContainerState) -> String {
        "\(Self.scratchPrefix)\(state.folder.lastComponent.map { "\($0)" } ?? "container").ext4"
    }

    private static let scratchPrefix = "scratch-"

    /// Removes the disks of containers that were lost with `/run`, by a reboot of the host.
    private func removeLostScratches(_ cache: ImageCache) {
        let folder = state.folder.parent
        for name in (try? FolderListing.names(in: cache.folder.hostText)) ?? [] where name.hasPrefix(Self.scratchPrefix)
        {
            let owner = folder.appending(String(name.dropFirst(Self.scratchPrefix.utf8.count).prefix { $0 != "." }))
            do throws(Errno) { _ = try owner.stat() } catch .noSuchFileOrDirectory {
                cache.folder.appending(name).removeFile()
            } catch {}
        }
    }

    private func boots(_ annotations: JSONValue) throws(RuntimeProblem) -> Bool {
        switch annotations["martlet.template"].string {
        case nil, "on": return false
        case "off": return true
        case let text?: throw RuntimeProblem("annotation martlet.template: '\(printable(text))' is not on or off")
        }
    }
}
