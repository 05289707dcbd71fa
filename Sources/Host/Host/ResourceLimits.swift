// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// The limits of this process.
package enum ResourceLimits {
    /// The limits that can keep a thread from starting, in words; those that are unlimited are left out.
    package static var ofThreads: [String] {
        var limits: [String] = []
        if let count = pidsOfControlGroup { limits.append("pids.max \(count)") }
        if let count = value(of: processCount) { limits.append("ulimit -u \(count)") }
        if let bytes = value(of: CInt(RLIMIT_AS.rawValue)) { limits.append("ulimit -v \(bytes >> 10)") }
        return limits
    }

    /// The number of descriptors that may be open; `nil` for no limit.
    package static var descriptorCount: UInt64? { value(of: CInt(RLIMIT_NOFILE.rawValue)) }

    /// RLIMIT_NPROC, which the Glibc module does not show.
    private static let processCount: CInt = 6

    private static func value(of resource: CInt) -> UInt64? {
        var limit = rlimit()
        guard unsafe getrlimit(resource, &limit) == 0, limit.rlim_cur != .max else { return nil }
        return UInt64(limit.rlim_cur)
    }

    /// The least `pids.max` of this process's control group and those above it, of either version.
    private static var pidsOfControlGroup: UInt64? {
        guard let groups = try? FileContents.text(of: "/proc/self/cgroup", limit: 1 << 16) else { return nil }
        var least: UInt64?
        for line in groups.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, fields[1].isEmpty || fields[1].split(separator: ",").contains("pids") else {
                continue
            }
            let root = FilePath(fields[1].isEmpty ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids")
            var group = root.appending(FilePath(String(fields[2])).components)
            while group.starts(with: root) {
                let text = try? FileContents.text(of: group.appending("pids.max"), limit: 64)
                if let count = text.flatMap({ UInt64($0.filter(\.isNumber)) }) { least = min(least ?? count, count) }
                guard group.removeLastComponent() else { break }
            }
        }
        return least
    }
}

extension Errno {
    /// The error in words, with the limit to raise where this process has too many files open.
    package var inWords: String {
        guard self == .tooManyOpenFiles else { return "\(self)" }
        let limit = ResourceLimits.descriptorCount.map { ", here: \($0)" } ?? ""
        return "\(self): raise the limit of open files (ulimit -n\(limit))"
    }
}
