// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import RootImage
import SystemPackage

/// Copies of what a container has mounted from the host: files, and small folders that it only reads.
struct MountCopies {
    private static let byteLimit = 16 << 20
    private static let entryLimit = 4096

    private let folder: FilePath

    /// - Parameter folder: Takes the copies.
    init(into folder: FilePath) {
        self.folder = folder
    }

    /// The mounts with copies in place of the host's files, as the container's process finds them.
    ///
    /// - Throws: `RuntimeProblem` for a folder that the container could write to, or that is too large.
    func copied(_ mounts: [JSONValue]) throws -> [JSONValue] {
        var result: [JSONValue] = []
        for mount in mounts {
            let options = mount["options"].elements.compactMap(\.string)
            guard mount["type"] == "bind" || options.contains("bind") || options.contains("rbind") else {
                result.append(mount)
                continue
            }
            let target = mount["destination"].string ?? ""
            // The engine's shared memory, and its terminals: the guest has its own.
            if target == "/dev/shm" {
                result.append(Self.memory(target))
                continue
            }
            let source = FilePath(hostText: mount["source"].string ?? "")
            let name = "\(result.count)"
            if try copy(source, to: folder.appending(name), target, isReadOnly: options.contains("ro")) {
                result.append(mount.with("source", .string("/c/files/\(name)")))
            }
        }
        return result
    }

    private static func memory(_ target: String) -> JSONValue {
        [
            "destination": .string(target), "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        ]
    }

    /// - Returns: False for what the guest goes without.
    private func copy(_ source: FilePath, to copy: FilePath, _ target: String, isReadOnly: Bool) throws -> Bool {
        var status = stat()
        guard unsafe source.withPlatformString({ unsafe stat($0, &status) }) == 0 else {
            throw RuntimeProblem("cannot mount \(source): \(Errno(rawValue: errno))")
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            guard status.st_size <= Self.byteLimit else {
                throw RuntimeProblem(
                    "\(source) is too large to be copied into a machine: more than \(Self.byteLimit >> 20) MiB"
                )
            }
        case S_IFDIR:
            guard isReadOnly else {
                throw RuntimeProblem(
                    """
                    \(printable(target)): a machine cannot share the host's folder \(source) for writing yet; mount it read-only (:ro), \
                    then it is copied
                    """
                )
            }
            let listing = try TreeListing(of: source)
            guard listing.blockCount * 4096 <= Self.byteLimit, listing.entryCount <= Self.entryLimit else {
                throw RuntimeProblem(
                    "\(source) is too large to be copied into a machine: more than \(Self.byteLimit >> 20) MiB"
                )
            }
        default: throw RuntimeProblem("\(source) is no file or folder, and cannot be copied into a machine")
        }
        guard let program = HostProgram.find("cp") else { throw RuntimeProblem("cp is not there") }
        let ending = try HostProgram.run(program, ["-aL", "--", source.hostText, copy.hostText])
        guard ending.status == 0 else { throw RuntimeProblem("cannot copy \(source): \(printable(ending.text))") }
        return true
    }
}
