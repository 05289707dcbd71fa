// SPDX-License-Identifier: Apache-2.0

import HTTP
import JSON
import MachineAPI
import TestSupport
import Testing

/// Requests before the start; which bodies there are, `DescriptionTests` tells.
struct ConfigurationRequestTests {
    private let fixture: APIFixture

    init() throws {
        fixture = try APIFixture()
    }

    // MARK: - What is

    @Test func `the service tells who it is`() throws {
        #expect(
            try fixture.get("/") == [
                "app_name": "Martlet", "id": "test", "state": "Not started",
                "vmm_version": .string(APIVersion.martlet),
            ]
        )
        #expect(try fixture.get("/version") == ["firecracker_version": .string(APIVersion.firecracker)])
        let machine = try fixture.get("/martlet/machine")
        #expect(machine["state"] == "Not started")
        #expect(machine["outcome"] == .null)
        #expect(machine["started_at"] == .null)
    }

    @Test(arguments: [
        ("GET", "/nothing"), ("GET", "/vm"), ("GET", "/vm/config/x"), ("GET", "/machine-config/"), ("POST", "/actions"),
        ("DELETE", "/drives/a"), ("GET", "/martlet"), ("GET", "/martlet/"), ("PUT", "/drives/a/b"), ("GET", "//"),
    ])
    func `what is not served is refused`(method: String, path: String) throws {
        let answer = try fixture.send(method, path)
        #expect(answer.status == 400)
        #expect(answer.fault == "Invalid request method and/or path: \(method) \(path).")
    }

    @Test(arguments: [
        "/balloon", "/balloon/statistics", "/pmem/p",
    ])
    func `what only Firecracker has is refused by its name`(path: String) throws {
        let answer = try fixture.put(path, [:])
        #expect(answer.status == 400)
        #expect(answer.fault.hasPrefix("Martlet does not offer"))
    }

    @Test func `what Martlet does not offer is refused by its name`() throws {
        func fault(_ body: JSONValue) throws -> String { try fixture.patch("/machine-config", body).fault }
        #expect(try fault(["huge_pages": "2M"]).hasSuffix("Martlet does not offer hugetlbfs pages"))
        let drive: JSONValue = ["drive_id": "a", "is_root_device": false, "socket": "/tmp/s"]
        #expect(
            try fixture.put("/drives/a", drive).fault.hasPrefix("drive.socket: Martlet does not offer vhost-user-block")
        )
    }

    @Test func `wishes of Firecracker's clients that change nothing are taken and shown`() throws {
        let size: JSONValue = ["vcpu_count": 2, "mem_size_mib": 64, "smt": true, "track_dirty_pages": true]
        let plain = try fixture.put("/machine-config", size)
        #expect(plain.status == 204 && plain.headers["Deprecation"] == nil)
        let answer = try fixture.put("/machine-config", size.setting("cpu_template", "T2"))
        #expect(answer.status == 204 && answer.headers["Deprecation"] == "true")
        let shown = try fixture.get("/machine-config")
        #expect(shown["smt"] == true && shown["track_dirty_pages"] == true && shown["cpu_template"] == "T2")
        #expect(try fixture.patch("/machine-config", ["vcpu_count": 3]).fault.contains("machine-config.smt"))
        #expect(try fixture.patch("/machine-config", [:]).fault == "Empty PATCH request.")
    }

    // MARK: - Messages

    @Test func `faults name the field and what it should be`() throws {
        func fault(_ text: String) throws -> String {
            try fixture.send("PUT", "/machine-config", text: text).fault
                .replacing("An error occurred when deserializing the json body of a request: ", with: "")
        }
        #expect(
            try fault(#"{"vcpu_count":33,"mem_size_mib":64}"#)
                == "machine-config.vcpu_count: must be 1 to 32, not 33"
        )
        #expect(try fault(#"{"vcpu_count":1}"#) == "machine-config.mem_size_mib: is missing.")
        #expect(try fault(#"{"vcpu_count":1,"mem_size_mib":"64"}"#).hasSuffix("mem_size_mib: must be an integer."))
        #expect(
            try fault(#"{"vcpu_count":1,"mem_size_mib":64,"cpus":2}"#) == "machine-config.cpus: unknown field."
        )
        #expect(try fault("[]") == "machine-config: must be an object.")
        #expect(try fault("{").hasPrefix("invalid JSON at line 1"))
        #expect(try fault(#"{"vcpu_count":1,"vcpu_count":1}"#).hasPrefix("invalid JSON"))
        #expect(try fault(#"{"vcpu_count":1.5,"mem_size_mib":64}"#).hasSuffix("vcpu_count: must be an integer."))
    }

    @Test func `a whole number is one however it is written`() throws {
        try fixture.send("PUT", "/machine-config", text: #"{"vcpu_count":2.0,"mem_size_mib":64e0}"#).succeed()
        let size = try fixture.get("/machine-config")
        #expect(size["vcpu_count"] == 2 && size["mem_size_mib"] == 64)
    }

    @Test func `a request that fails changes nothing`() throws {
        let before = try fixture.get("/vm/config")
        #expect(try fixture.patch("/machine-config", ["vcpu_count": 4, "mem_size_mib": 0]).status == 400)
        #expect(try fixture.put("/boot-source", ["kernel_image_path": "/nowhere"]).status == 400)
        #expect(try fixture.get("/vm/config") == before)
    }

    // MARK: - What is set

    @Test func `PATCH keeps what it does not name, PUT does not`() throws {
        try fixture.put("/machine-config", ["vcpu_count": 4, "mem_size_mib": 64, "huge_pages": "Transparent"]).succeed()
        try fixture.patch("/machine-config", ["mem_size_mib": 65]).succeed()
        var size = try fixture.get("/machine-config")
        #expect(size["vcpu_count"] == 4)
        #expect(size["mem_size_mib"] == 65)
        #expect(size["huge_pages"] == "Transparent")
        try fixture.put("/machine-config", ["vcpu_count": 1, "mem_size_mib": 64]).succeed()
        size = try fixture.get("/machine-config")
        #expect(size["huge_pages"] == "None")
    }

    @Test func `files have to be there when they are named`() throws {
        let kernel = try fixture.file("kernel")
        #expect(
            try fixture.put("/boot-source", ["kernel_image_path": "/nowhere"]).fault
                == "the kernel: cannot open /nowhere: No such file or directory"
        )
        let answer = try fixture.put("/boot-source", ["kernel_image_path": kernel, "initrd_path": "/nowhere"])
        #expect(answer.fault.hasPrefix("the initrd: cannot open /nowhere"))
        let drive: JSONValue = ["drive_id": "a", "is_root_device": false, "path_on_host": "/nowhere"]
        #expect(try fixture.put("/drives/a", drive).fault.hasPrefix("drive a: cannot open /nowhere"))
        let folder = drive.setting("path_on_host", .string(fixture.folder.path))
        #expect(try fixture.put("/drives/a", folder).fault.hasSuffix("Is a directory"))
        let long = JSONValue.string(String(repeating: "a", count: 2048))
        #expect(
            try fixture.put("/boot-source", ["kernel_image_path": kernel, "boot_args": long]).fault.contains(
                "boot_args"
            )
        )
        #expect(try fixture.put("/metrics", ["metrics_path": "/nowhere/m"]).fault.contains("/nowhere/m"))
        #expect(try fixture.put("/logger", ["log_path": "/nowhere/l"]).fault.contains("/nowhere/l"))
    }

    @Test func `a drive's identifier is the same in path and body`() throws {
        let drive: JSONValue = ["drive_id": "a", "is_root_device": false, "path_on_host": try fixture.disk("a")]
        #expect(
            try fixture.put("/drives/b", drive).fault
                == "The id from the path [b] does not match the id from the body [a]!"
        )
        #expect(try fixture.patch("/drives/b", ["drive_id": "a"]).fault.contains("does not match"))
        try fixture.put("/drives/a", drive).succeed()
        for wrong in ["", "a-b", "a b", "ä", "a/b"] {
            let answer = try fixture.put("/drives/a", drive.setting("drive_id", .string(wrong)))
            #expect(
                answer.fault.hasSuffix("API Resource IDs can only contain alphanumeric characters and underscores.")
            )
        }
    }

    @Test func `an identifier may be long`() throws {
        let identifier = String(repeating: "a", count: 300)
        let drive: JSONValue = [
            "drive_id": .string(identifier), "is_root_device": false, "path_on_host": try fixture.disk("a"),
        ]
        try fixture.put("/drives/\(identifier)", drive).succeed()
    }

    @Test func `there is one root, and a drive can be set anew`() throws {
        let path = try fixture.disk("a")
        func put(_ identifier: String, isRoot: Bool) throws -> Answer {
            try fixture.put(
                "/drives/\(identifier)",
                ["drive_id": .string(identifier), "is_root_device": .bool(isRoot), "path_on_host": path]
            )
        }
        try put("a", isRoot: true).succeed()
        #expect(try put("b", isRoot: true).fault == "A root block device already exists!")
        try put("b", isRoot: false).succeed()
        try put("a", isRoot: false).succeed()
        try put("b", isRoot: true).succeed()
        let drives = try fixture.get("/vm/config")["drives"].elements
        #expect(drives.map { $0["drive_id"] } == ["a", "b"])
        #expect(drives.map { $0["is_root_device"] } == [false, true])
    }

    // MARK: - Order

    @Test func `what needs a machine is refused before the start`() throws {
        let refusal = "The requested operation is not supported before starting the microVM."
        #expect(try fixture.act("SendCtrlAltDel").fault == refusal)
        #expect(try fixture.act("FlushMetrics").fault == refusal)
        #expect(try fixture.patch("/vm", ["state": "Paused"]).fault == refusal)
        #expect(try fixture.patch("/drives/a", ["drive_id": "a"]).fault == refusal)
        #expect(try fixture.patch("/drives/a", ["drive_id": "a", "path_on_host": "/nowhere"]).fault == refusal)
        #expect(try fixture.send("GET", "/martlet/stats").fault == refusal)
        for action in ["PowerButton", "Shutdown", "SendBreak", "RescanDrives"] {
            #expect(try fixture.act(martlet: action).fault == refusal)
        }
    }

    @Test func `a machine does not start without a kernel`() throws {
        #expect(try fixture.act("InstanceStart").fault == "Cannot start microvm without kernel configuration.")
        #expect(!fixture.service.isStarted)
    }

    @Test func `what cannot be is told at the start`() throws {
        try fixture.put("/boot-source", ["kernel_image_path": fixture.file("kernel")]).succeed()
        try fixture.put("/machine-config", ["vcpu_count": 1, "mem_size_mib": 15]).succeed()
        #expect(try fixture.act("InstanceStart").fault.hasSuffix("a guest needs at least 16 MiB of memory, not 15 MiB"))
    }

    @Test func `a machine that was killed before its start does not start`() throws {
        try fixture.act(martlet: "Kill").succeed()
        #expect(try fixture.service.waitUntilEnded() == nil)
    }

    // MARK: - The console

    @Test func `the console wants its protocol, a position and a mode`() throws {
        let answer = try fixture.send("GET", "/martlet/console")
        #expect(answer.status == 426)
        #expect(answer.headers["Upgrade"] == "martlet-console")
        for (query, word) in [
            ("?from=-1", "'from'"), ("?from=+1", "'from'"), ("?from=x", "'from'"), ("?mode=x", "'mode'"),
        ] {
            let error = #expect(throws: HTTPClientError.self) { try fixture.attach(query) }
            guard case .upgradeRefused(let response) = error else { throw MissedDeadline("a refusal") }
            let refusal = try Answer(response)
            #expect(refusal.status == 400)
            #expect(refusal.fault.hasPrefix(word))
        }
    }

    @Test func `there is place for so many viewers, and it comes back`() throws {
        var viewers = try (0..<32).map { _ in try fixture.attach("?mode=watch") }
        #expect(throws: HTTPClientError.self) { try fixture.attach() }
        _ = viewers.popLast()
        viewers = []
    }
}
