// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import RootImage
import SystemPackage

/// The container that runc makes: an empty read-only root with Martlet, the guest and the disks, and no capability at all.
struct OuterContainer {
    private let installation: Installation
    private let state: ContainerState
    /// The container's root file system, and the disk for its writes.
    var disks: (base: FilePath, scratch: FilePath)?
    /// The machine that runs in the container, where one does.
    var machine: MachineSize?
    /// The folder of the template that the machine may be restored from.
    var templates: FilePath?
    /// The folder that the machine of the container's pod has its sockets in.
    var pod: FilePath?

    init(_ installation: Installation, _ state: ContainerState) {
        (self.installation, self.state) = (installation, state)
    }

    /// The mounts of the engine that stay: nothing of them is the host's.
    private static let kept: Set<String> = ["/proc", "/dev", "/dev/pts", "/dev/mqueue", "/sys"]

    /// The container's `config.json`, with another root, other mounts and another program.
    func configuration(for original: JSONValue) throws(RuntimeProblem) -> JSONValue {
        var mounts = original["mounts"].elements.filter {
            Self.kept.contains($0["destination"].string ?? "") && $0["type"] != "bind"
        }
        mounts.append(Self.bind(installation.command, to: "/m/bin/martlet"))
        mounts.append(Self.bind(installation.images, to: "/m/share/martlet"))
        if let disks {
            mounts.append(Self.bind(disks.base, to: "/m/base.ext4"))
            mounts.append(Self.bind(disks.scratch, to: "/m/scratch.ext4", isReadOnly: false))
        }
        if let pod { mounts.append(Self.bind(pod, to: "/p")) }
        mounts.append(Self.bind(state.shared, to: "/c", isReadOnly: false))
        if let templates { mounts.append(Self.bind(templates, to: "/m/templates")) }
        var folders = ["m", "m/bin", "m/share", "m/share/martlet", "m/templates", "c", "p", "tmp"]
        let files = ["m/bin/martlet", "m/base.ext4", "m/scratch.ext4"]
        if !installation.libraries.isEmpty {
            // A build for developers: with the host's libraries, where they are.
            for path in installation.libraries + ["/usr/lib", "/usr/lib64", "/lib", "/lib64"] where path.isFolder {
                mounts.append(Self.bind(path, to: path.hostText))
                var parts = ""
                for component in path.components {
                    parts += (parts.isEmpty ? "" : "/") + component.string
                    folders.append(parts)
                }
            }
        }
        // The root is read-only: mount points must exist.
        for kept in Self.kept.sorted() { folders.append(String(kept.dropFirst())) }
        for name in folders { try makeFolder(state.outer.pushing(FilePath(hostText: name))) }
        for name in files { try makeFile(state.outer.pushing(FilePath(hostText: name))) }

        var process = original["process"].with("args", ["/m/bin/martlet", "container", "/c/container.json"])
        process = Self.onHost(process)
        var linux = try withDevices(original["linux"])
        // These paths are in the guest's /proc and /sys, not in this container's.
        linux = linux.with("sysctl", nil).with("maskedPaths", nil).with("readonlyPaths", nil)
        if linux["seccomp"] != .null { linux = linux.with("seccomp", SystemCallProfile.description) }
        return original.with("root", ["path": .string(state.outer.hostText), "readonly": true])
            .with("mounts", .array(mounts)).with("process", process).with("linux", linux)
    }

    /// A process of the host in place of one of the container: root without rights.
    static func onHost(_ process: JSONValue) -> JSONValue {
        process.with("user", ["uid": 0, "gid": 0]).with("cwd", "/").with("env", ["PATH=/m/bin", "TMPDIR=/c"])
            .with("capabilities", ["bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": []])
            .with("noNewPrivileges", true).with("rlimits", nil).with("apparmorProfile", nil)
    }

    private static func bind(_ source: FilePath, to target: String, isReadOnly: Bool = true) -> JSONValue {
        [
            "destination": .string(target), "type": "bind", "source": .string(source.hostText),
            "options": ["rbind", isReadOnly ? "ro" : "rw", "nosuid", "nodev"],
        ]
    }

    /// Lets the container use /dev/kvm and, for its network, /dev/net/tun, and gives it the room that a machine takes beside its guest.
    private func withDevices(_ linux: JSONValue) throws(RuntimeProblem) -> JSONValue {
        guard let machine else { return linux.with("resources", Self.withRoomForMachine(linux["resources"], 0)) }
        guard let kvm = Self.device("/dev/kvm") else {
            throw RuntimeProblem("/dev/kvm does not exist: this host has no KVM")
        }
        var devices = linux["devices"].elements
        var rules = linux["resources"]["devices"].elements
        for device in [kvm, Self.device("/dev/net/tun")].compactMap({ $0 }) {
            devices.append(device)
            rules.append([
                "allow": true, "type": "c", "major": device["major"], "minor": device["minor"], "access": "rwm",
            ])
        }
        let resources = Self.withRoomForMachine(linux["resources"].with("devices", .array(rules)), machine.memoryMiB)
        return linux.with("devices", .array(devices)).with("resources", resources)
    }

    private static func device(_ path: String) -> JSONValue? {
        guard let device = (try? FilePath(hostText: path).stat())?.specialDeviceID else { return nil }
        return [
            "path": .string(path), "type": "c", "major": .integer(Int64(device.major)),
            "minor": .integer(Int64(device.minor)), "fileMode": 0o600, "uid": 0, "gid": 0,
        ]
    }

    /// Raises limits of memory and processes: the guest has as much memory as the container may have, and holds its number of processes.
    static func withRoomForMachine(_ resources: JSONValue, _ guestMiB: Int64) -> JSONValue {
        var resources = resources
        if let limit = resources["pids"]["limit"].integerValue, limit > 0 {
            let raised = min(limit, 1 << 32) + MachineSize.overheadThreadCount
            resources = resources.with("pids", resources["pids"].with("limit", .integer(raised)))
        }
        var memory = resources["memory"]
        guard case .object = memory else { return resources }
        for name in ["limit", "swap", "reservation"] {
            guard let value = memory[name].integerValue, value > 0 else { continue }
            memory = memory.with(name, .integer(max(value, guestMiB << 20) + (MachineSize.overheadMiB << 20)))
        }
        return resources.with("memory", memory)
    }

    private func makeFolder(_ path: FilePath) throws(RuntimeProblem) {
        do throws(Errno) { try FolderTree.make(path) } catch { throw RuntimeProblem("cannot make \(path): \(error)") }
    }

    private func makeFile(_ path: FilePath) throws(RuntimeProblem) {
        let raw = unsafe path.withPlatformString { unsafe open($0, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644) }
        guard raw >= 0 else { throw RuntimeProblem("cannot make \(path): \(Errno(rawValue: errno))") }
        _ = OwnedDescriptor(adopting: raw)
    }
}
