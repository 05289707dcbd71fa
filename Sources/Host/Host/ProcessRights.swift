// SPDX-License-Identifier: Apache-2.0

import CHost
import SystemPackage

/// The rights of a process as its kernel shows them: what its sandbox has come to.
package struct ProcessRights: Hashable, Sendable {
    /// Indicates whether system calls are filtered, and by how many filters on its first thread.
    package let filterCount: Int
    package let gainsNoPrivileges: Bool
    /// The capabilities in effect, as bits; in hexadecimal.
    package let capabilities: String
    package let userID: Int
    package let groupID: Int
    /// Indicates whether the process is the first one of a PID namespace, as in a jail.
    package let isJailed: Bool
    /// The number of descriptors that it may open.
    package let descriptorLimit: String

    /// Examines a process.
    ///
    /// Fails where it is gone, or there is no /proc.
    package init?(of process: Int32) {
        guard let status = try? FileContents.text(of: FilePath("/proc/\(process)/status"), limit: 1 << 16) else {
            return nil
        }
        var fields: [Substring: [Substring]] = [:]
        for line in status.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { fields[parts[0]] = parts[1].split { $0 == "\t" || $0 == " " } }
        }
        func number(_ name: Substring) -> Int { fields[name]?.first.flatMap { Int($0) } ?? 0 }
        filterCount = number("Seccomp") == 2 ? max(1, number("Seccomp_filters")) : 0
        gainsNoPrivileges = number("NoNewPrivs") == 1
        capabilities = fields["CapEff"]?.first.map(String.init) ?? ""
        (userID, groupID) = (number("Uid"), number("Gid"))
        isJailed = (fields["NSpid"]?.count ?? 0) > 1 && fields["NSpid"]?.last == "1"
        let limits = (try? FileContents.text(of: FilePath("/proc/\(process)/limits"), limit: 1 << 16)) ?? ""
        let line = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
        descriptorLimit = line?.split(separator: " ").dropFirst(4).first.map(String.init) ?? ""
    }

    /// The version of Landlock's interface that this host has; `nil` for a host without.
    package static var landlockVersion: Int? {
        let version = Int(chost_landlock_version())
        return version > 0 ? version : nil
    }

    /// Indicates whether this host and this program can filter system calls.
    package static var canFilterCalls: Bool { chost_has_filters() != 0 }
}
