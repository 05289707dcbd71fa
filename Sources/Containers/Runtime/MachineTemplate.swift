// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import RootImage
import SystemPackage

/// A snapshot that a container's machine restorees instead of booting: of a guest whose agent waits, before it has had
/// anything of a container.
///
/// A process beside the containers makes it (`martlet container-template`), and no container's process can write to it. The first
/// container of a kind waits for it, as long as its own boot would take; so do all that start meanwhile.
struct MachineTemplate {
    private let command: FilePath
    private let images: FilePath
    private let folder: FilePath
    private let name: String
    /// The arguments by which the guest is described to `martlet container-template`.
    private let guest: [String]

    /// The folder of all templates, which this user alone can enter.
    static func folder() throws(RuntimeProblem) -> FilePath {
        let folder = ImageCache.base.appending("templates")
        do throws(Errno) { try FolderTree.make(folder, mode: 0o700) } catch {
            throw RuntimeProblem("cannot make \(folder): \(error)")
        }
        return folder
    }

    /// Names the template of a container's machine; `nil` for one that is to boot.
    init?(for origin: JSONValue, interfaceCount: Int) {
        guard origin["boots"] != true, let memory = origin["memory_mib"].integerValue,
            let vcpus = origin["vcpu_count"].integerValue
        else { return nil }
        // Engines start this program with other surroundings each time.
        let (command, images) = (Self.path(origin["martlet"]), Self.path(origin["images"]))
        (self.command, self.images, folder) = (command, images, Self.path(origin["templates"]))
        guest =
            ["--memory", "\(memory)", "--cpus", "\(vcpus)", "--interfaces", "\(interfaceCount)"]
            + (origin["pod"] == .null ? [] : ["--pod"])
        let files =
            [command]
            + [
                "vmlinux", "vmlinux-smp", "container.cpio", "cmdline", "cmdline-interpreting",
                "cmdline-interpreting-smp",
            ]
            .map { images.appending($0) }
        // Another boot of the host may have another processor.
        let boot = try? FileContents.text(of: "/proc/sys/kernel/random/boot_id", limit: 64)
        let facts = guest + [boot ?? ""] + files.map { FileContents.identity(of: $0) ?? "none" }
        name = String(SHA256.hex(of: Array(facts.joined(separator: "\n").utf8)).prefix(32))
    }

    private static func path(_ value: JSONValue) -> FilePath { FilePath(hostText: value.string ?? "") }

    /// Tells a container that waits for its start of the template, and has that made where it is not there or damaged.
    ///
    /// - Throws: `RuntimeProblem` where the container's folder cannot be written to.
    func offer(to state: ContainerState) throws(RuntimeProblem) {
        try state.write(["name": .string(name)], to: state.shared.appending("template.json"))
        // A template that has changed since it was made is damaged: the process below makes another one.
        if SnapshotSeal(of: folder.appending(name)).holds { return }
        // Locked until the process that makes the template ends, however it does: then the container continues.
        let path = state.shared.appending("making")
        let lock: OwnedDescriptor
        do throws(Errno) { lock = try OwnedDescriptor(opening: path, O_RDWR | O_CREAT) } catch {
            throw RuntimeProblem("cannot make \(path): \(error)")
        }
        guard flock(lock.rawValue, LOCK_EX | LOCK_NB) == 0 else { return }
        var launch = ProcessLaunch(
            command,
            arguments: ["container-template", name, "--folder", folder.hostText] + guest
        )
        // Nothing of the engine's is its business.
        let isOwn = GuestImageFolders.folders(of: command).first == images
        launch.environment = isOwn ? [] : ["\(GuestImageFolders.environmentVariable)=\(images.hostText)"]
        launch.descriptors = [nil, nil, nil, lock.borrowed]
        launch.startsSession = true
        launch.folder = "/"
        // Without it the machine boots.
        _ = try? launch.start()
    }
}
