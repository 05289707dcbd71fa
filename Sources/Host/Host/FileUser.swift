// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

/// Another process that has a file open, for messages about files in use.
package enum FileUser {
    /// Looks through this user's processes.
    ///
    /// - Returns: The first process that is found, such as `machine 'web' (process 4711)`; `nil` where none can be seen.
    package static func description(of path: FilePath) -> String? {
        guard let wanted = try? path.stat() else { return nil }
        for process in names(in: "/proc").compactMap({ pid_t($0) }).sorted() where process != getpid() {
            let folder = "/proc/\(process)/fd"
            let hasFile = names(in: folder).contains { name in
                (try? FilePath("\(folder)/\(name)").stat())?.isSameFile(as: wanted) == true
            }
            if hasFile { return describe(process) }
        }
        return nil
    }

    private static func describe(_ process: pid_t) -> String {
        let line = (try? FileContents.text(of: FilePath("/proc/\(process)/cmdline"), limit: 1 << 20)) ?? ""
        let arguments = line.split(separator: "\0").map(String.init)
        let program = arguments.first?.split(separator: "/").last ?? "unknown"
        if program == "martlet-monitor", let option = arguments.firstIndex(of: "--id"), option + 1 < arguments.count {
            return "machine '\(printable(arguments[option + 1]))' (process \(process))"
        }
        return "process \(process) (\(printable(String(program))))"
    }

    private static func names(in folder: String) -> [String] { (try? FolderListing.names(in: folder)) ?? [] }
}
