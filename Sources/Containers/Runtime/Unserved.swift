// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import SystemPackage

/// The wishes that a machine cannot grant a container, refused before anything is made.
enum Unserved {
    static func check(_ configuration: JSONValue) throws(RuntimeProblem) {
        guard configuration["linux"] != .null else { throw RuntimeProblem("the container is not for Linux") }
        // A namespace that is named may be the host's too: engines keep a container whose start fails, so it is refused here.
        let given = configuration["linux"]["namespaces"].elements.filter { !isOwnNetwork($0) }
        let namespaces = Set(given.compactMap { $0["type"].string })
        let names = ["pid": "processes", "ipc": "IPC", "network": "network", "mount": "mounts"]
        for (type, name) in names.sorted(by: { $0.key < $1.key }) where !namespaces.contains(type) {
            throw RuntimeProblem("a machine cannot share the host's \(name): leave out --\(type)=host")
        }
        if namespaces.contains("user") {
            throw RuntimeProblem("user namespaces are not served: the guest's users are its own already")
        }
        if let device = configuration["linux"]["devices"].elements.compactMap({ $0["path"].string }).first {
            throw RuntimeProblem(
                "a machine cannot have the host's device \(printable(device)): leave out --device and --privileged"
            )
        }
    }

    /// Indicates whether a namespace is the network of this process.
    private static func isOwnNetwork(_ namespace: JSONValue) -> Bool {
        guard namespace["type"] == "network", let path = namespace["path"].string else { return false }
        guard let own = try? FilePath("/proc/self/ns/net").stat() else { return false }
        return (try? FilePath(hostText: path).stat())?.isSameFile(as: own) == true
    }
}
