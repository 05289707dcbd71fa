// SPDX-License-Identifier: Apache-2.0

import Host
import JSON

/// The wishes that a machine cannot grant a container, refused before anything is made.
enum Unserved {
    /// - Throws: `RuntimeProblem`, which says what and why.
    static func check(_ configuration: JSONValue) throws(RuntimeProblem) {
        guard configuration["linux"] != .null else { throw RuntimeProblem("the container is not for Linux") }
        let namespaces = Set(configuration["linux"]["namespaces"].elements.compactMap { $0["type"].string })
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
}
