// SPDX-License-Identifier: Apache-2.0

import CContainers
import Glibc
import Host
import JSON
import RootImage
import SystemPackage

/// `create`: makes the container's disk, and a bundle in which runc runs Martlet in place of the program.
struct CreateCommand {
    /// The memory that the process takes beside the guest's.
    static let overheadMiB: Int64 = 64
    /// The memory of a guest that nobody limited.
    static let defaultMemoryMiB: Int64 = 128

    private var options: RuntimeOptions
    private let state: ContainerState

    init(_ options: RuntimeOptions) throws(RuntimeProblem) {
        self.options = options
        state = try ContainerState(options)
    }

    /// - Returns: Why runc cannot be run; it does not return else.
    mutating func run() throws -> RuntimeProblem {
        let bundle = FilePath(hostText: options["--bundle"] ?? ".").absolute
        let original = try state.read(bundle.appending("config.json"))
        let annotations = original["annotations"]
        // Not a container of anybody's: it holds a pod's namespaces, and sleeps.
        let kinds = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"].map {
            annotations[$0].string
        }
        if kinds.contains("sandbox") { return try Delegate.replaceThisProcess(options.arguments) }

        try Unserved.check(original)
        let root = FilePath(hostText: original["root"]["path"].string ?? "rootfs")
        let tree = root.isAbsolute ? root : bundle.pushing(root)
        try ProgramLookup.check(original["process"], inRoot: tree, mounts: original["mounts"].elements)

        let installation = try Installation()
        try state.make()
        do {
            let cache = try ImageCache()
            let base = try cache.base(of: tree)
            let (scratch, isBundles) = try makeScratch(bundle, cache)
            let memory = try memoryMiB(original)
            let mounts = try MountCopies(into: state.shared.appending("files")).copied(original["mounts"].elements)
            let vcpus = try vcpuCount(annotations)
            let templates = try MachineTemplate.folder()
            let description: JSONValue = [
                "memory_mib": .integer(memory), "vcpu_count": .integer(vcpus),
                "config": original.with("mounts", .array(mounts)).with("hooks", nil),
            ]
            try state.write(description, to: state.shared.appending("container.json"))
            try state.saveOrigin([
                "bundle": .string(bundle.hostText), "scratch": isBundles ? .null : .string(scratch.hostText),
                "pid_file": .string(FilePath(hostText: pidFile).absolute.hostText),
                "network_namespace": original["linux"]["namespaces"].elements.first { $0["type"] == "network" }?["path"]
                    ?? .null,
                "cgroup": original["linux"]["cgroupsPath"],
                "memory_mib": .integer(memory), "vcpu_count": .integer(vcpus), "boots": .bool(try boots(annotations)),
                "martlet": .string(installation.command.hostText), "images": .string(installation.images.hostText),
                "templates": .string(templates.hostText),
            ])
            var outer = OuterContainer(installation, state, base: base, scratch: scratch, memoryMiB: memory)
            outer.templates = templates
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

    /// The disk for what the container writes: kept in the engine's own folder, where that lasts.
    ///
    /// - Returns: The disk, and whether it is the engine's to remove.
    private func makeScratch(_ bundle: FilePath, _ cache: ImageCache) throws -> (FilePath, Bool) {
        let isMemory = unsafe bundle.withPlatformString { unsafe ccontainers_is_in_memory($0) } != 0
        if isMemory { removeLostScratches(cache) }
        let path = isMemory ? cache.folder.appending(scratchName(state)) : bundle.appending("martlet-scratch.ext4")
        let isThere = unsafe path.withPlatformString { unsafe access($0, F_OK) } == 0
        guard isMemory || !isThere else { return (path, !isMemory) }
        // Under its name only when it is whole: this process may be killed.
        let draft = FilePath(hostText: path.hostText + ".draft")
        _ = unsafe draft.withPlatformString { unsafe unlink($0) }
        try FileSystemImage.makeScratch(draft)
        let result = unsafe draft.withPlatformString { from in
            unsafe path.withPlatformString { unsafe rename(from, $0) }
        }
        guard result == 0 else { throw RuntimeProblem("cannot make \(path): \(Errno(rawValue: errno))") }
        return (path, !isMemory)
    }

    private func scratchName(_ state: ContainerState) -> String {
        "\(Self.scratchPrefix)\(state.folder.lastComponent.map { "\($0)" } ?? "container").ext4"
    }

    private static let scratchPrefix = "scratch-"

    /// Removes the disks of containers that were lost with `/run`, by a reboot of the host.
    private func removeLostScratches(_ cache: ImageCache) {
        let folder = state.folder.removingLastComponent()
        for name in (try? FolderListing.names(in: cache.folder.hostText)) ?? [] where name.hasPrefix(Self.scratchPrefix)
        {
            let owner = folder.appending(String(name.dropFirst(Self.scratchPrefix.utf8.count).prefix { $0 != "." }))
            guard unsafe owner.withPlatformString({ unsafe access($0, F_OK) }) != 0, errno == ENOENT else { continue }
            _ = unsafe cache.folder.appending(name).withPlatformString { unsafe unlink($0) }
        }
    }

    private func memoryMiB(_ configuration: JSONValue) throws(RuntimeProblem) -> Int64 {
        if let text = configuration["annotations"]["martlet.memory"].string {
            guard let value = Int64(text), (32...1 << 20).contains(value) else {
                throw RuntimeProblem("annotation martlet.memory: '\(printable(text))' is no number of MiB from 32 on")
            }
            return value
        }
        let limit = configuration["linux"]["resources"]["memory"]["limit"].integerValue ?? 0
        guard limit > 0 else { return Self.defaultMemoryMiB }
        return max(32, limit >> 20)
    }

    private func boots(_ annotations: JSONValue) throws(RuntimeProblem) -> Bool {
        switch annotations["martlet.template"].string {
        case nil, "on": return false
        case "off": return true
        case let text?: throw RuntimeProblem("annotation martlet.template: '\(printable(text))' is not on or off")
        }
    }

    private func vcpuCount(_ annotations: JSONValue) throws(RuntimeProblem) -> Int64 {
        guard let text = annotations["martlet.cpus"].string else { return 1 }
        guard let value = Int64(text), (1...32).contains(value) else {
            throw RuntimeProblem("annotation martlet.cpus: '\(printable(text))' is not 1 to 32")
        }
        return value
    }
}

extension FilePath {
    /// The path from the root on.
    var absolute: FilePath {
        if isAbsolute { return self }
        guard let folder = unsafe getcwd(nil, 0) else { return self }
        defer { unsafe free(folder) }
        return unsafe FilePath(platformString: folder).pushing(self)
    }
}
