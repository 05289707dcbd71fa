// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// A program that runs containers as the OCI runtime specification says, and the way to call it on this host.
struct ContainerRuntime {
    let name: String
    let path: String
    /// In a mount namespace without the second of two cgroup hierarchies: crun does not support hosts that have both.
    var hidesCGroup2 = false
    /// False where the runtime must do without cgroups.
    var hasCGroups = true
    var hasSeccomp = true

    /// The report's remark on the way it is called, if that is not the plain one.
    var remarks: [String] {
        (geteuid() == 0 ? [] : ["without root rights"])
            + (hidesCGroup2 ? ["cgroup v1 only (it knows no host with v1 and v2)"] : [])
            + (hasCGroups ? [] : ["without cgroups, which this host or user does not offer"])
            + (hasSeccomp ? [] : ["without seccomp"])
    }

    /// The candidates, in this order.
    static let known = ["crun", "runc"]

    /// The ways to try, best first: each runtime plainly; then what an odd host needs.
    ///
    /// - Parameter runtimes: Names, or paths of programs that take the same command lines.
    /// - Returns: Those whose program is there.
    static func candidates(_ runtimes: [String] = known) -> [ContainerRuntime] {
        runtimes.flatMap { runtime -> [ContainerRuntime] in
            let name = runtime.split(separator: "/").last.map(String.init) ?? runtime
            let found =
                runtime.contains("/")
                ? (FilePath(hostText: runtime).allows(X_OK) ? runtime : nil) : HostProgram.find(runtime)?.string
            guard let path = found else { return [] }
            let plain = ContainerRuntime(name: name, path: path)
            var ways = [plain]
            var way = plain
            way.hasSeccomp = false
            guard name == "crun" else { return ways + [way] }
            if FilePath("/sys/fs/cgroup/unified").exists {
                var hiding = plain
                hiding.hidesCGroup2 = true
                ways.append(hiding)
            }
            var bare = plain
            bare.hasCGroups = false
            return ways + [way, bare]
        }.enumerated().sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }.map(\.element)
    }

    /// All of one rank are tried before those of the next: another runtime is better than one without cgroups.
    private var rank: Int { (hasSeccomp ? 0 : 1) + (hasCGroups ? 0 : 2) }

    /// A command line of this runtime.
    func command(_ words: [String], state: String) -> [String] {
        [path, "--root", state] + (hasCGroups ? [] : ["--cgroup-manager=disabled"]) + words
    }
}
