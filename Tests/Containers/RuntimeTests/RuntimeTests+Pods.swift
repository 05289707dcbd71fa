// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import SystemPackage
import TestSupport
import Testing

/// The calls of containerd's CRI, as they were recorded, for a pod whose containers share a machine.
extension RuntimeTests {
    private func create(_ id: String) throws -> HostProgram.Ending {
        try call("create", "--bundle", "\(folder.path)/bundle", "--pid-file", "\(folder.path)/\(id).pid", id)
    }

    private func read(_ path: FilePath) throws -> JSONValue {
        try JSONValue(parsing: FileContents.bytes(of: path, limit: 1 << 20))
    }

    private func sandbox(_ annotations: [(String, JSONValue)] = []) throws {
        var object = JSONObject()
        for (name, value) in [("io.kubernetes.cri.container-type", "sandbox"), ("martlet.template", "off")]
            + annotations
        {
            object[name] = value
        }
        try configuration {
            // There is no such program: nothing of the sandbox runs in the guest.
            $0.with("annotations", .object(object)).with("process", ["args": ["/pause"], "cwd": "/"])
                .with("linux", $0["linux"].with("sysctl", ["net.core.somaxconn": "5"]))
        }
    }

    /// A container whose namespaces are those of a process.
    private func member(
        of process: String,
        memory: Int64 = 32 << 20,
        sharing types: [String] = ["ipc", "uts", "network"]
    )
        throws
    {
        try configuration { configuration in
            let namespaces = configuration["linux"]["namespaces"].elements.map { namespace -> JSONValue in
                let type = namespace["type"].string ?? ""
                let file = ["network": "net"][type] ?? type
                return types.contains(type) ? namespace.with("path", .string("/proc/\(process)/ns/\(file)")) : namespace
            }
            return configuration.with("hostname", .null)
                .with(
                    "annotations",
                    ["io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "pod1"]
                )
                .with(
                    "linux",
                    ["namespaces": .array(namespaces), "resources": ["memory": ["limit": .integer(memory)]]]
                )
        }
    }

    @Test func `a pod's sandbox is its machine, and a container in it has its disks and no machine of its own`() throws
    {
        try sandbox()
        let made = try create("pod1")
        #expect(made.status == 0 && made.text.isEmpty, "\(made.text)")
        let pod = try bundle()
        let machine = try read(pod.appending("c/container.json"))
        #expect(machine["is_pod"] == true && machine["memory_mib"] == 256 && machine["config"] == .null)
        let targets = try read(pod.appending("config.json"))["mounts"].elements.compactMap { $0["destination"].string }
        #expect(targets.contains("/m/templates") && !targets.contains("/m/base.ext4"))

        // A container's own namespaces are named by some process: this test's does.
        try folder.write("\(getpid())", "pod1.pid")
        try member(of: "self", sharing: ["ipc", "uts"])
        let second = try create("c1")
        #expect(second.status == 0 && second.text.isEmpty, "\(second.text)")
        let container = try bundle()
        let description = try read(container.appending("c/container.json"))
        #expect(description["member"]["name"].string == container.lastComponent?.string)
        #expect(description["member"]["shares_ipc"] == true && description["member"]["shares_processes"] == false)
        #expect(
            description["memory_mib"] == .null && description["config"]["linux"]["sysctl"]["net.core.somaxconn"] == "5"
        )
        let outer = try read(container.appending("config.json"))
        let mounts = outer["mounts"].elements
        let folder = mounts.first { $0["destination"] == "/p" }
        #expect(folder?["source"].string == "\(pod)/c" && folder?["options"].elements.contains("ro") == true)
        #expect(mounts.contains { $0["destination"] == "/m/base.ext4" })
        #expect(outer["linux"]["devices"].elements.isEmpty && outer["process"]["capabilities"]["bounding"] == [])
        #expect(outer["linux"]["resources"]["memory"]["limit"] == .integer((32 + 64) << 20))

        // Its network is the machine's: nothing is tied, and no template is asked for.
        #expect(try call("start", "c1").status == 0 && calls.suffix(2) == ["start", "c1"])
        let paused = try call("pause", "c1")
        #expect(paused.status == 1 && paused.text.contains("cannot be paused by itself"))
        try self.folder.write(
            (["memory": ["limit": .integer(32 << 20)], "cpu": ["shares": 5]] as JSONValue).text,
            "limits"
        )
        #expect(try call("update", "--resources", "\(self.folder.path)/limits", "c1").status == 0)
        try self.folder.write((["memory": ["limit": .integer(64 << 20)]] as JSONValue).text, "limits")
        let updated = try call("update", "--resources", "\(self.folder.path)/limits", "c1")
        #expect(updated.status == 1 && updated.text.contains("keeps the memory limit"))
        try self.folder.write((["args": ["id"], "cwd": "/"] as JSONValue).text, "process")
        let executed = try call("exec", "--process", "\(self.folder.path)/process", "--detach", "--pid-file", "p", "c1")
        #expect(executed.status == 0)

        // After its end, as containerd does.
        for _ in 0..<2 { #expect(try call("kill", "--all", "c1", "9").status == 1) }
        #expect(try call("delete", "c1").status == 0 && call("delete", "--force", "c1").status == 0)
        #expect(unsafe access(container.string, F_OK) != 0 && access(pod.string, F_OK) == 0)
        #expect(try call("delete", "--force", "pod1").status == 0)
        #expect(unsafe access(pod.string, F_OK) != 0)
        // Without the pod's machine, it is one by itself.
        try member(of: "self", sharing: ["ipc", "uts"])
        #expect(try create("c1").status == 0)
        #expect(try read(try bundle().appending("c/container.json"))["memory_mib"] == 32)
        #expect(try call("delete", "--force", "c1").status == 0)
    }

    @Test(
        arguments: [
            ([], 256, 1), ([("martlet.memory", "512"), ("martlet.cpus", "3")], 512, 3),
            (
                [
                    ("io.kubernetes.cri.sandbox-memory", "268435456"),
                    ("io.kubernetes.cri.sandbox-cpu-quota", "150000"),
                    ("io.kubernetes.cri.sandbox-cpu-period", "100000"),
                ], 320, 2
            ), ([("io.kubernetes.cri.sandbox-memory", "0"), ("io.kubernetes.cri.sandbox-cpu-quota", "0")], 256, 1),
        ] as [([(String, JSONValue)], JSONValue, JSONValue)]
    )
    func `a pod's machine has the size of annotations, of its limits, or the usual one`(
        annotations: [(String, JSONValue)],
        memory: JSONValue,
        vcpus: JSONValue
    ) throws {
        try sandbox(annotations)
        #expect(try create("pod1").status == 0)
        let machine = try read(try bundle().appending("c/container.json"))
        #expect(machine["memory_mib"] == memory && machine["vcpu_count"] == vcpus)
        #expect(try call("delete", "--force", "pod1").status == 0)
    }

    @Test func `the processes of the pod can be shared, and those of one container of it are refused in words`() throws
    {
        try sandbox()
        #expect(try create("pod1").status == 0)
        try folder.write("\(getpid())", "pod1.pid")
        try member(of: "self", sharing: ["ipc", "pid"])
        #expect(try create("c1").status == 0)
        #expect(try read(try bundle().appending("c/container.json"))["member"]["shares_processes"] == true)
        // The sandbox has another process than the one that is named.
        try folder.write("1000000000", "pod1.pid")
        let refused = try create("c2")
        #expect(refused.status == 1 && refused.text.contains("not those of one container of it"), "\(refused.text)")
        for id in ["c1", "pod1"] { #expect(try call("delete", "--force", id).status == 0) }
    }

    @Test(
        arguments: [
            ("/libpod_parent/\(String(repeating: "6e", count: 32))/libpod-1", true),
            ("machine-libpod_pod_6e6e.slice:libpod:1", true), ("/libpod_parent/libpod-1", false),
            ("machine.slice:libpod:1", false),
        ] as [(JSONValue, Bool)]
    )
    func `the container whose namespaces podman's pod shares is the pod's machine, known by its control group`(
        group: JSONValue,
        isPod: Bool
    ) throws {
        try configuration {
            $0.with("annotations", ["io.container.manager": "libpod", "martlet.template": "off"])
                .with("linux", $0["linux"].with("cgroupsPath", group))
        }
        #expect(try create("pod1").status == 0)
        #expect(try read(try bundle().appending("c/container.json"))["is_pod"] == (isPod ? true : .null))
        #expect(try call("delete", "--force", "pod1").status == 0)
    }

    @Test func `an annotation that says neither on nor off is refused`() throws {
        try sandbox([("martlet.pod", "perhaps")])
        let refused = try create("pod1")
        #expect(refused.status == 1 && refused.text.contains("'perhaps' is not on or off") && calls.isEmpty)
    }
}
