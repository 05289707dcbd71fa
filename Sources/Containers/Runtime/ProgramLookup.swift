// SPDX-License-Identifier: Apache-2.0

import CContainers
import Glibc
import Host
import JSON
import SystemPackage

/// Looks for a container's program in its root file system before a machine boots, as runc does before it forks.
enum ProgramLookup {
    /// - Throws: `RuntimeProblem` in runc's words, by which engines choose the exit status 127 or 126.
    static func check(_ process: JSONValue, inRoot root: FilePath, mounts: [JSONValue]) throws(RuntimeProblem) {
        guard let name = process["args"].elements.first?.string, !name.isEmpty else {
            throw RuntimeProblem("process.args is empty: there is no program to run")
        }
        let raw = unsafe root.withPlatformString { unsafe open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard raw >= 0 else {
            throw RuntimeProblem("cannot open the root file system \(root): \(Errno(rawValue: errno))")
        }
        let folder = OwnedDescriptor(adopting: raw)
        let targets = mounts.compactMap { $0["destination"].string }
        if name.contains("/") {
            let path = name.hasPrefix("/") ? name : (process["cwd"].string ?? "/") + "/" + name
            // A mount covers this part of the root: its files are not here.
            if targets.contains(where: { path == $0 || path.hasPrefix($0 == "/" ? "/" : $0 + "/") }) { return }
            let error = Self.error(of: path, in: folder.rawValue)
            guard error == 0 else {
                throw RuntimeProblem("exec: \"\(printable(name))\": stat \(printable(path)): \(words(error)): unknown")
            }
            return
        }
        let variables = process["env"].elements.compactMap(\.string)
        let search =
            variables.last { $0.hasPrefix("PATH=") }?.dropFirst(5)
            ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        var found = ENOENT
        for place in search.split(separator: ":") {
            let path = "\(place)/\(name)"
            if targets.contains(where: { path.hasPrefix($0 + "/") || path == $0 }) { return }
            let error = Self.error(of: path, in: folder.rawValue)
            if error == 0 { return }
            if error == EACCES { found = EACCES }
        }
        throw RuntimeProblem(
            found == EACCES
                ? "exec: \"\(printable(name))\": permission denied: unknown"
                : "exec: \"\(printable(name))\": executable file not found in $PATH: unknown"
        )
    }

    private static func words(_ error: CInt) -> String {
        switch error {
        case ENOENT, ENOTDIR: "no such file or directory"
        case EACCES: "permission denied"
        default: "\(Errno(rawValue: error))"
        }
    }

    /// 0 for a file that can be run.
    private static func error(of path: String, in root: CInt) -> CInt {
        let raw = unsafe ccontainers_open_in_root(root, path.hostCString, ccontainers_path_only)
        guard raw >= 0 else { return -raw }
        let file = OwnedDescriptor(adopting: raw)
        do throws(Errno) {
            let status = try file.borrowed.stat()
            return status.type == .regular && status.mode.rawValue & 0o111 != 0 ? 0 : EACCES
        } catch {
            return error.rawValue
        }
    }
}
