// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import Storage
import SystemPackage

/// The parts of a comparison's virtual machine.
package struct MachineImages: Sendable {
    /// The program `martlet`, of which `martlet run` is the monitor.
    package var monitor: String
    package var kernel: String
    /// Kernel parameters that the kernel wants on this host.
    package var parameters: [String]

    package init(monitor: String, kernel: String, parameters: [String]) {
        self.monitor = monitor
        self.kernel = kernel
        self.parameters = parameters
    }
}

/// Programs in virtual machines of their own: `martlet run`, as users run it; `martlet-monitor`, where there are many.
final class MachineEnvironment: ComparedEnvironment {
    /// The parts of a machine where nothing else is asked for, as `martlet run` makes it.
    static let memoryByteCount = 128 << 20

    let kind = EnvironmentKind.machine
    let provider: String
    let version: String
    let images: MachineImages
    let place: Workplace
    private let emptyDisk: String
    private var count = 0

    init(
        images: MachineImages,
        version: String,
        emptyDisk: String,
        _ place: Workplace
    ) throws(ComparisonError) {
        provider = "martlet \(version), one vCPU, \(Self.memoryByteCount >> 20) MiB"
        self.version = version
        self.images = images
        self.emptyDisk = emptyDisk
        self.place = place
        guard unsafe access("/dev/kvm", R_OK | W_OK) == 0 else {
            throw .unexpected(
                "/dev/kvm cannot be used (martlet doctor says why): \(unsafe String(cString: strerror(errno)))"
            )
        }
    }

    var ownFiles: [(name: String, path: String)] { [("its archive", place.userSpace.archive)] }
    var sharedFiles: [(name: String, path: String)] {
        [("the monitor, martlet", images.monitor), ("the guest's kernel", images.kernel)]
    }

    func launch(_ job: Job) throws(ComparisonError) -> Instance {
        count += 1
        let identity = "\(place.folder.path)/machine\(count)"
        var words = job.command(kind, programsIn: "/bin", dataFolder: "/data")
        var disk: String?
        if job.needsData {
            let path = "\(identity).ext4"
            do throws(StorageError) {
                try DiskFile.copy(of: FilePath(emptyDisk), to: FilePath(path))
            } catch {
                throw .unexpected("\(error)")
            }
            disk = path
            words.insert("--data", at: 0)
        }
        if job.network != nil { words.insert(contentsOf: ["--net", ComparedNetwork.machineAddress], at: 0) }
        let parameters = (images.parameters + ["--"] + words).joined(separator: " ")
        let memory = job.limits.memoryByteCount ?? Self.memoryByteCount
        var command = [images.monitor, "run", "--escape", "none"]
        if job.isOneOfMany {
            // Becomes martlet-monitor, and stays this process.
            let file = "\(identity).json"
            try writeConfiguration(to: file, parameters, memoryByteCount: memory)
            command += ["--config", file] + Self.visibility
        } else {
            command += [images.kernel, "--initrd", place.userSpace.archive, "--memory", "\(memory >> 20)M"]
            // Past the host's page cache, so that host and guest do not both keep the data, and reads reach the disk.
            if let disk { command += ["--disk", place.folder.isInMemory ? disk : "\(disk),direct"] }
            if job.network != nil { command.append("--net=tap:\(ComparedNetwork.tap)") }
            command += ["--cmdline", parameters]
        }
        command.insert(contentsOf: job.network?.launcher ?? [], at: 0)
        let process = try place.start(command, messages: "machine\(count).log")
        return Instance(kind: kind, process: process) {
            Files.remove("\(identity).ext4")
        }
    }

    /// The options of a machine whose memory is looked at: its sandbox hides that from all but root.
    static var visibility: [String] { geteuid() == 0 ? [] : ["--sandbox", "off"] }

    /// Writes the file that `martlet run --config` takes, of a machine without disks.
    func writeConfiguration(
        to file: String,
        _ words: String,
        memoryByteCount: Int,
        hasSnapshotPoint: Bool = false
    ) throws(ComparisonError) {
        var size: JSONObject = ["vcpu_count": 1, "mem_size_mib": .integer(Int64(memoryByteCount >> 20))]
        if hasSnapshotPoint { size["martlet"] = ["snapshot_point": true] }
        let description: JSONValue = [
            "boot-source": [
                "kernel_image_path": .string(images.kernel), "initrd_path": .string(place.userSpace.archive),
                "boot_args": .string(words),
            ],
            "machine-config": .object(size),
            // `martlet run` gives every machine one.
            "entropy": [:],
        ]
        try Files.write(description.text.utf8, to: file)
    }

    /// Returns whether a monitor has made its first vCPU, the last thing before the guest runs.
    ///
    /// - Returns: Whether it holds such a descriptor now.
    static func hasProcessor(_ process: pid_t) -> Bool {
        // The newest come last, and look cheaper from there.
        let names = Files.names(in: "/proc/\(process)/fd").compactMap { Int($0) }.sorted(by: >)
        return names.contains {
            (try? FilePath("/proc/\(process)/fd/\($0)").linkTarget())?.hasPrefix("anon_inode:kvm-vcpu") == true
        }
    }
}
