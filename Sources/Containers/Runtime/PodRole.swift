// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import SystemPackage

/// The part of a container in a pod, as the engines of Kubernetes name it in annotations, and podman half of it.
enum PodRole {
    /// Not in a pod whose containers share a machine.
    case none
    /// The container is the pod's machine, which the pod's containers share.
    case sandbox
    /// A container in the machine of a pod.
    case member(Pod)

    /// Indicates whether the container is a pod's machine.
    var isSandbox: Bool { if case .sandbox = self { true } else { false } }

    /// A pod whose machine is there.
    struct Pod {
        let state: ContainerState
        fileprivate let origin: JSONValue
    }

    /// - Parameters:
    ///   - configuration: The container's `config.json`.
    ///   - options: The command line, by which the pod's sandbox is found.
    /// - Throws: `RuntimeProblem`.
    init(_ configuration: JSONValue, _ options: RuntimeOptions) throws(RuntimeProblem) {
        let annotations = configuration["annotations"]
        // containerd's; CRI-O's and podman's.
        func value(_ names: String...) -> String? { names.compactMap { annotations[$0].string }.first }
        switch value("io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType") {
        case "sandbox": self = .sandbox
        case "container":
            let id = value("io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID") ?? ""
            let state = try ContainerState(options, id: id)
            // Podman's --share may leave a container its own network. It is a machine of its own then, and so is each of a pod whose
            // sandbox runc has.
            let network = configuration["linux"]["namespaces"].elements.first { $0["type"] == "network" }
            let isApart = annotations["io.container.manager"] == "libpod" && network?["path"].string == nil
            let origin = state.exists && !isApart ? try state.originDescription() : .null
            self = origin["pod"] == true ? .member(Pod(state: state, origin: origin)) : .none
        case nil where Self.isInfra(configuration): self = .sandbox
        default: self = .none
        }
    }

    /// Returns whether a container is the infra container of a podman pod, which holds the pod's namespaces.
    ///
    /// Podman does not say so by an annotation; the control group is that of a pod.
    private static func isInfra(_ configuration: JSONValue) -> Bool {
        guard configuration["annotations"]["io.container.manager"] == "libpod",
            let group = configuration["linux"]["cgroupsPath"].string
        else { return false }
        // By cgroupfs PARENT/POD/libpod-ID, by systemd machine-libpod_pod_POD.slice:libpod:ID.
        let folder = group.pathComponents.dropLast().last?.utf8
        return group.has("libpod_pod_") || folder?.count == 64 && folder?.allSatisfy { isxdigit(CInt($0)) != 0 } == true
    }

    /// Indicates whether a sandbox is to be runc's, so that each container of the pod is a machine of its own.
    ///
    /// - Throws: `RuntimeProblem` for an annotation that says neither.
    static func isOff(_ annotations: JSONValue) throws(RuntimeProblem) -> Bool {
        switch annotations["martlet.pod"].string {
        case nil, "on": return false
        case "off": return true
        case let text?: throw RuntimeProblem("annotation martlet.pod: '\(printable(text))' is not on or off")
        }
    }
}

extension PodRole.Pod {
    /// The part of a container's description with its shared namespaces in the guest.
    ///
    /// - Throws: `RuntimeProblem` for processes of others than the pod's.
    func description(of configuration: JSONValue, _ state: ContainerState) throws(RuntimeProblem) -> JSONValue {
        func path(_ type: String) -> String? {
            configuration["linux"]["namespaces"].elements.first { $0["type"].string == type }?["path"].string
        }
        if let processes = path("pid"), !isSandboxes(processes, try state.process(of: origin)) {
            throw RuntimeProblem(
                "a container in a pod's machine can share the processes of the whole pod, not those of one container of it"
            )
        }
        return [
            "name": .string(state.key), "shares_processes": .bool(path("pid") != nil),
            "shares_ipc": .bool(path("ipc") != nil),
        ]
    }

    /// The configuration with the kernel parameters of the pod, which its sandbox alone has.
    func completed(_ configuration: JSONValue) -> JSONValue {
        var parameters = JSONObject()
        if state.network.exists { parameters[ContainerNetwork.loopbackParameter] = "1" }
        for settings in [origin["sysctl"], configuration["linux"]["sysctl"]] {
            guard case .object(let object) = settings else { continue }
            for name in object.names { parameters[name] = object[name] }
        }
        return configuration.with("linux", configuration["linux"].with("sysctl", .object(parameters)))
    }

    private func isSandboxes(_ namespace: String, _ process: pid_t) -> Bool {
        guard let own = try? FilePath("/proc/\(process)/ns/pid").stat() else { return false }
        return (try? FilePath(hostText: namespace).stat())?.isSameFile(as: own) == true
    }
}
