// SPDX-License-Identifier: Apache-2.0

import CContainers
import Glibc
import GuestAgent
import Host
import JSON
import SystemPackage

/// Copies of a container's mounts from the host: files, and small read-only folders.
struct MountCopies {
    private let folder: FilePath
    private var files = StagedFiles()

    init(into folder: FilePath) {
        self.folder = folder
    }

    /// The mounts with copies in place of the host's files, as the container's process finds them.
    ///
    /// - Throws: `RuntimeProblem` for a folder that the container could write to, or that is too large.
    mutating func copied(_ mounts: [JSONValue]) throws -> [JSONValue] {
        var result: [JSONValue] = []
        for mount in mounts {
            let options = mount["options"].elements.compactMap(\.string)
            guard mount["type"] == "bind" || options.contains("bind") || options.contains("rbind") else {
                result.append(mount)
                continue
            }
            let target = mount["destination"].string ?? "", source = FilePath(hostText: mount["source"].string ?? "")
            // The engine's shared memory, and its terminals: the guest has its own.
            if target == "/dev/shm" {
                result.append(Self.memory(target, asLargeAs: source))
                continue
            }
            let name = "\(result.count)"
            try copy(source, to: folder.appending(name), target, isReadOnly: options.contains("ro"))
            result.append(mount.with("source", .string("/c/files/\(name)")))
        }
        return result
    }

    /// Memory of the guest's own, with the size that the engine gave the host's.
    private static func memory(_ target: String, asLargeAs source: FilePath) -> JSONValue {
        var kibibytes: UInt64 = 65536
        var status = statvfs()
        if source.isInMemory, unsafe source.withPlatformString({ unsafe statvfs($0, &status) }) == 0 {
            // 0 is no limit for a tmpfs, on either side.
            kibibytes = UInt64(status.f_blocks) * (UInt64(status.f_frsize) / 1024)
        }
        return [
            "destination": .string(target), "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", .string("size=\(kibibytes)k")],
        ]
    }

    private mutating func copy(_ source: FilePath, to copy: FilePath, _ target: String, isReadOnly: Bool) throws {
        let status: Stat
        do throws(Errno) { status = try source.stat() } catch {
            throw RuntimeProblem("cannot mount \(source): \(error)")
        }
        switch status.type {
        case .regular: break
        case .directory:
            guard isReadOnly else {
                throw RuntimeProblem(
                    """
                    \(printable(target)): a machine cannot share the host's folder \(source) for writing yet; mount it read-only (:ro), \
                    then it is copied
                    """
                )
            }
        default: throw RuntimeProblem("\(source) is neither a file nor a folder, and cannot be copied into a machine")
        }
        do throws(AgentError) { try files.copy(source, to: copy) } catch {
            throw RuntimeProblem("cannot copy \(source) into the machine: \(error)")
        }
    }
}
