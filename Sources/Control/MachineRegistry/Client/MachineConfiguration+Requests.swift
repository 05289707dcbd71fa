// SPDX-License-Identifier: Apache-2.0

package import JSON
import LinuxBoot
package import Machine
import MachineAPI
import Storage
import SystemPackage

extension MachineConfiguration {
    /// One request of the API: always a `PUT`.
    package struct Request {
        package let path: String
        package let body: JSONValue
    }

    /// The requests that make a machine of this configuration.
    ///
    /// - Throws: `RegistryError` for the little that the API cannot say.
    package func requests() throws(RegistryError) -> [Request] {
        guard memoryByteCount % (1 << 20) == 0 else {
            throw RegistryError("the memory of a machine with a name is whole MiB, \(memoryByteCount) bytes are not")
        }
        var size: JSONObject = [
            "vcpu_count": .integer(Int64(vcpuCount)), "mem_size_mib": .integer(Int64(memoryByteCount >> 20)),
        ]
        if hasExitStatusPort { size["martlet"] = ["exit_status_port": true] }
        var source: JSONObject = [
            "kernel_image_path": .string(kernel.absolute.string), "boot_args": .string(commandLine),
        ]
        if let initrd { source["initrd_path"] = .string(initrd.absolute.string) }
        source["martlet"] = [
            "entry": .string(entry.rawValue), "image_args": .string(imageParameters.joined(separator: " ")),
            "complete_boot_args": .bool(isCommandLineComplete),
        ]
        var requests = [
            Request(path: "/machine-config", body: .object(size)), Request(path: "/boot-source", body: .object(source)),
        ]
        for (index, disk) in disks.enumerated() {
            let identifier = "disk\(index)"
            requests.append(
                Request(path: "/drives/\(identifier)", body: Self.drive(disk, identifier, isRoot: index == 0))
            )
        }
        if hasEntropyDevice { requests.append(Request(path: "/entropy", body: [:])) }
        return requests
    }

    private static func drive(_ disk: DiskConfiguration, _ identifier: String, isRoot: Bool) -> JSONValue {
        var drive: JSONObject = [
            "drive_id": .string(identifier), "path_on_host": .string(disk.path.absolute.string),
            "is_root_device": .bool(isRoot),
            "is_read_only": .bool(disk.isReadOnly), "cache_type": "Writeback",
        ]
        switch disk.engine {
        case .automatic: break
        case .ioUring: drive["io_engine"] = "Async"
        case .threads: drive["io_engine"] = "Sync"
        }
        if let limit = disk.rateLimit { drive["rate_limiter"] = limit.json }
        var extensions: JSONObject = ["direct": .bool(disk.isDirect), "queues": .integer(Int64(disk.queueCount))]
        if let serial = disk.identifier { extensions["serial"] = .string(serial) }
        drive["martlet"] = .object(extensions)
        return .object(drive)
    }
}
