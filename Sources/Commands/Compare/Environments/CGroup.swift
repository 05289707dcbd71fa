// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// Control groups, of version 1 and 2.
enum CGroup {
    private static let mountPoint = "/sys/fs/cgroup"

    /// The memory that a process's cgroup counts, if it has one that is not the caller's own.
    ///
    /// - Returns: Bytes, kernel memory of the group included, or `nil`.
    static func memoryByteCount(of process: pid_t) -> Double? {
        guard let path = memoryPath(of: process), path != memoryPath(of: getpid()) else { return nil }
        for name in ["memory.current", "memory.usage_in_bytes"] {
            if let text = try? Files.text("\(path)/\(name)"), let value = Double(text.dropLast(1)) { return value }
        }
        return nil
    }

    private static func memoryPath(of process: pid_t) -> String? {
        guard let text = try? Files.text("/proc/\(process)/cgroup") else { return nil }
        // "hierarchy:controllers:path"; version 2 has hierarchy 0 and names no controllers.
        let entries = text.split(separator: "\n").map {
            $0.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        }.filter { $0.count == 3 }
        if let own = entries.first(where: { $0[1].split(separator: ",").contains("memory") }) {
            return "\(mountPoint)/memory\(own[2])"
        }
        return entries.first { $0[0] == "0" }.map { "\(mountPoint)\($0[2])" }
    }

    /// Removes the groups that a killed runtime left of a container, and kills the processes in them.
    ///
    /// - Parameter name: The name of the container, with which the names of its groups end.
    static func remove(named name: String) {
        // No deeper than where the groups of a session are made.
        var folders = [(path: mountPoint, depth: 0)]
        while let (path, depth) = folders.popLast() {
            for entry in Files.names(in: path) {
                let child = "\(path)/\(entry)"
                if entry.has(name) {
                    end(child)
                } else if depth < 6, isFolder(child) {
                    folders.append((child, depth + 1))
                }
            }
        }
    }

    private static func end(_ path: String) {
        for name in Files.names(in: path) where isFolder("\(path)/\(name)") { end("\(path)/\(name)") }
        let deadline = Moment.now + 10
        while deadline > .now {
            ProcessTable.kill {
                ((try? Files.text("\(path)/cgroup.procs")) ?? "").split(separator: "\n").compactMap { pid_t($0) }.filter
                { $0 > 0 }
            }
            if unsafe rmdir(path) == 0 || errno == ENOENT { return }
            usleep(5000)
        }
    }

    private static func isFolder(_ path: String) -> Bool {
        (try? FilePath(hostText: path).stat(followTargetSymlink: false))?.type == .directory
    }
}
