// SPDX-License-Identifier: Apache-2.0

import HTTP
import JSON
import Machine
import MachineAPI
import MachineModel
import Snapshot
import SystemPackage
import TestSupport
import Testing

/// The service under the name `firecracker`.
struct FirecrackerDialectTests {
    private let fixture: APIFixture

    init() throws {
        fixture = try APIFixture(dialect: .firecracker)
    }

    @Test(arguments: ["/version", "/version/", "/version/x/y", "//version"])
    func `segments behind a path, and empty ones, are passed by`(path: String) throws {
        #expect(try fixture.get(path)["firecracker_version"] == .string(APIVersion.firecracker))
    }

    @Test func `the longest path that fits is meant`() throws {
        #expect(try fixture.get("/vm/config/x")["drives"] == [])
        #expect(try fixture.send("GET", "/vm/x").status == 400)
        #expect(try fixture.get("/")["id"] == "test")
    }

    @Test func `the whole configuration has every section and field, but those of this process`() throws {
        let empty = try fixture.get("/vm/config")
        #expect(
            Set(empty.members.names) == [
                "balloon", "boot-source", "cpu-config", "drives", "entropy", "logger", "machine-config",
                "memory-hotplug", "metrics", "mmds-config", "network-interfaces", "pmem", "vsock",
            ]
        )
        #expect(empty["boot-source"] == ["kernel_image_path": "", "initrd_path": .null, "boot_args": .null])
        #expect(empty["network-interfaces"] == [])
        try Everything.configure(fixture)
        let full = try fixture.get("/vm/config")
        #expect(full["serial"] == .null && full["logger"] == .null && full["metrics"] == .null)
        #expect(full["machine-config"]["cpu_template"] == .null)
        let root = full["drives"][1].members
        #expect(root["rate_limiter"] == .some(.null) && root["socket"] == .some(.null))
        #expect(root["cache_type"] == "Unsafe" && root["io_engine"] == "Async")
    }

    @Test func `limits that limit nothing are null in the configuration, and no field is missing`() throws {
        let limiter: JSONValue = [
            "bandwidth": ["size": 5, "refill_time": 100, "one_time_burst": 0], "ops": ["size": 0, "refill_time": 100],
        ]
        // The partition of a disk that is not the root is of no interest.
        let drive: JSONValue = [
            "drive_id": "data", "is_root_device": false, "path_on_host": try fixture.disk("data"), "partuuid": "none",
            "rate_limiter": limiter,
        ]
        try fixture.put("/drives/data", drive).succeed()
        try fixture.put("/entropy", ["rate_limiter": ["bandwidth": .null]]).succeed()
        try fixture.put("/vsock", ["vsock_id": "v", "guest_cid": 3, "uds_path": .string("\(fixture.folder.path)/v")])
            .succeed()
        let shown = try fixture.get("/vm/config")
        let bucket: JSONValue = ["size": 5, "refill_time": 100, "one_time_burst": .null]
        #expect(shown["drives"][0]["rate_limiter"] == ["bandwidth": bucket, "ops": .null])
        #expect(shown["drives"][0]["partuuid"] == "none")
        #expect(shown["entropy"] == ["rate_limiter": .null])
        #expect(shown["vsock"].members["vsock_id"] == nil)
    }

    @Test(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"), arguments: [0, 2, 4_294_967_295] as [JSONValue])
    func `a guest whose vsock address is reserved starts like any other`(address: JSONValue) throws {
        try fixture.put("/vsock", ["guest_cid": address, "uds_path": .string("\(fixture.folder.path)/v")]).succeed()
        try fixture.start([.spin])
    }

    @Test func `sections of a file that nobody knows are passed by, those of others are not`() throws {
        let kernel = try fixture.file("kernel").text
        func parse(_ section: String, _ dialect: APIDialect) throws -> MachineConfiguration {
            let text = "{\"boot-source\":{\"kernel_image_path\":\(kernel)},\"drives\":[],\(section)}"
            let path = try fixture.folder.write(Array(text.utf8), to: "machine.json")
            return try MachineConfiguration(file: FilePath(path), dialect: dialect)
        }
        #expect(try parse("\"_comment\":\"x\"", .firecracker).bootSource != nil)
        #expect(throws: APIError.self) { try parse("\"_comment\":\"x\"", .martlet) }
        #expect(throws: APIError.self) { try parse("\"pmem\":[{}]", .firecracker) }
    }

    @Test(arguments: ["", ",\"drives\":null"])
    func `a file has a list of drives`(section: String) throws {
        let kernel = try fixture.file("kernel").text
        let text = "{\"boot-source\":{\"kernel_image_path\":\(kernel)}\(section)}"
        let path = FilePath(try fixture.folder.write(Array(text.utf8), to: "machine.json"))
        #expect(throws: APIError.self) { try MachineConfiguration(file: path, dialect: .firecracker) }
        #expect(try MachineConfiguration(file: path, dialect: .martlet).drives.isEmpty)
    }

    @Test func `a start with more devices than there are interrupt lines is refused in Firecracker's words`() throws {
        try fixture.configure([.spin])
        let disk = try fixture.disk("disk")
        for number in 0...MachineConfiguration.deviceCapacity {
            let id = "d\(number)"
            try fixture.put(
                "/drives/\(id)",
                ["drive_id": .string(id), "is_root_device": false, "is_read_only": true, "path_on_host": disk]
            ).succeed()
        }
        let words = "Could not allocate GSI: The requested resource is not available."
        #expect(try fixture.act("InstanceStart").fault == "Start microvm error: \(words)")
    }

    @Test func `the log tells of requests and their answers`() throws {
        let path = "\(fixture.folder.path)/log"
        try fixture.put("/logger", ["log_path": .string(path), "level": "Debug", "show_level": true]).succeed()
        try fixture.patch("/machine-config", ["vcpu_count": 4]).succeed()
        _ = try fixture.get("/machine-config")
        _ = try fixture.put("/mmds", ["secret": 1])
        #expect(try fixture.send("GET", "/none").status == 400)
        _ = try fixture.get("/martlet/machine")
        let log = String(decoding: try fixture.folder.read("log"), as: UTF8.self)
        for text in [
            #":INFO] The API server received a Patch request on "/machine-config" with body "{\"vcpu_count\":4}"."#,
            ":INFO] The request was executed successfully. Status code: 204 No Content.",
            #"The API server received a Get request on "/machine-config"."#,
            #"The API server received a Put request on "/mmds"."#,
            ":ERROR] Received Error. Status code: 400 Bad Request. Message: ",
            ":DEBUG] Total previous API call duration: ",
        ] { #expect(log.contains(text), "\(text)") }
        #expect(!log.contains("secret") && !log.contains("/martlet/"))
    }

    @Test(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
    func `more memory than a process has addresses for is taken as it is, and refused at the start`() throws {
        try fixture.configure([.spin])
        func set(_ size: String) throws -> Answer {
            try fixture.send("PATCH", "/machine-config", text: "{\"mem_size_mib\":\(size)}")
        }
        for size in ["18446744073709551615", "1099511627776"] {
            try set(size).succeed()
            #expect(try fixture.get("/machine-config")["mem_size_mib"].text == size)
            #expect(
                try fixture.act("InstanceStart").fault
                    == "Invalid Memory Configuration: Cannot create mmap region: Out of memory (os error 12)"
            )
        }
        #expect(try set("18446744073709551616").fault.contains("invalid type: floating point"))
        #expect(try set("0").fault.contains("The memory size (MiB) is either 0"))
        try set("16").succeed()
        try fixture.act("InstanceStart").succeed()
    }

    @Test func `errors have Firecracker's words`() throws {
        let kernel = try fixture.file("kernel")
        try fixture.put("/boot-source", ["kernel_image_path": kernel]).succeed()
        let drive: JSONValue = ["drive_id": "a", "is_root_device": true, "path_on_host": try fixture.disk("a")]
        try fixture.put("/drives/a", drive).succeed()
        let json = "An error occurred when deserializing the json body of a request: "
        let (nothing, long) = ("No such file or directory (os error 2)", String(repeating: "a", count: 2049))
        let cases: [(String, String, JSONValue?, String)] = [
            ("PUT", "/machine-config", ["mem_size_mib": 128], json + "missing field `vcpu_count` at line 1 column 20."),
            (
                "PUT", "/machine-config", ["x": 1],
                json + """
                    unknown field `x`, expected one of `vcpu_count`, `mem_size_mib`, `smt`, `cpu_template`, `track_dirty_pages`, \
                    `huge_pages` at line 1 column 4.
                    """
            ),
            ("PUT", "/entropy", ["x": 1], json + "unknown field `x`, expected `rate_limiter` at line 1 column 4."),
            (
                "PUT", "/machine-config", ["vcpu_count": 1, "mem_size_mib": 128, "smt": 1],
                json + "invalid type: integer `1`, expected a boolean at line 1 column 42."
            ),
            (
                "PUT", "/machine-config", ["vcpu_count": "1", "mem_size_mib": 128],
                json + "invalid type: string \"1\", expected u8 at line 1 column 17."
            ),
            (
                "PUT", "/machine-config", ["vcpu_count": 1.5, "mem_size_mib": 128],
                json + "invalid type: floating point `1.5`, expected u8 at line 1 column 17."
            ),
            (
                "PUT", "/machine-config", ["vcpu_count": 1, "mem_size_mib": nil],
                json + "invalid type: null, expected usize at line 1 column 35."
            ),
            (
                "PUT", "/vsock", ["guest_cid": -1, "uds_path": "/none"],
                json + "invalid value: integer `-1`, expected u32 at line 1 column 15."
            ),
            (
                "PUT", "/machine-config", ["vcpu_count": .unsigned(.max), "mem_size_mib": 128],
                json + "invalid value: integer `18446744073709551615`, expected u8 at line 1 column 34."
            ),
            (
                "PUT", "/metrics", ["metrics_path": true],
                json + "invalid type: boolean `true`, expected path string at line 1 column 20."
            ),
            (
                "PUT", "/actions", ["action_type": "Foo"],
                json + """
                    unknown variant `Foo`, expected one of `FlushMetrics`, `InstanceStart`, `SendCtrlAltDel` \
                    at line 1 column 20.
                    """
            ),
            ("PUT", "/logger", ["level": "Foo"], json + "Invalid LevelFilter at line 1 column 14."),
            (
                "PUT", "/boot-source", ["kernel_image_path": ""],
                "Boot source error: The kernel file cannot be opened: \(nothing)"
            ),
            (
                "PUT", "/boot-source", ["kernel_image_path": kernel, "boot_args": .string(long)],
                "Boot source error: The kernel command line is invalid: Invalid cmdline capacity provided."
            ),
            (
                "PUT", "/machine-config", ["vcpu_count": 1, "mem_size_mib": 128, "huge_pages": "7"],
                json + "unknown variant `7`, expected one of `None`, `Transparent`, `2M` at line 1 column 51."
            ),
            (
                "PATCH", "/vm", ["state": "X"],
                json + "unknown variant `X`, expected `Paused` or `Resumed` at line 1 column 12."
            ),
            (
                "PATCH", "/machine-config", ["vcpu_count": 0],
                """
                Machine config error: The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number if SMT \
                is enabled.
                """
            ),
            (
                "PUT", "/boot-source", ["kernel_image_path": "/none"],
                "Boot source error: The kernel file cannot be opened: \(nothing)"
            ),
            (
                "PUT", "/drives/a", drive.setting("path_on_host", "/none"),
                """
                Drive config error: Unable to create the virtio block device: Virtio backend error: \
                Error manipulating the backing file: \(nothing) /none
                """
            ),
            (
                "PUT", "/drives/b", drive.setting("drive_id", "b"),
                "Drive config error: A root block device already exists!"
            ),
            (
                "PUT", "/vsock", ["guest_cid": 3, "uds_path": "/none/v"],
                """
                Vsock config error: Cannot create backend for vsock device: Error binding to the host-side Unix socket: \(nothing)
                """
            ),
            (
                "PUT", "/network-interfaces/n", ["iface_id": "n", "host_dev_name": "0123456789abcdef"],
                """
                Network config error: Could not create the network device: Open tap device failed: \
                Invalid interface name
                """
            ),
            (
                "PUT", "/network-interfaces/n", ["iface_id": "n", "host_dev_name": "no-such-tap"],
                """
                Network config error: Could not create the network device: Open tap device failed: Error while creating ifreq \
                structure: No such device (os error 19). Invalid TUN/TAP Backend provided by no-such-tap. Check our documentation \
                on setting up the network devices.
                """
            ),
            ("PUT", "/logger", ["log_path": "/none/l"], "Logger error: Failed to open target file: \(nothing)"),
            ("PUT", "/mmds/none", [:], "Unrecognized PUT request path `none`."),
            ("PUT", "/drives", [:], "The ID cannot be empty."),
            ("PUT", "/none", nil, "Empty PUT request."),
            ("GET", "/none/x", nil, "Invalid request method and/or path: GET none."),
            ("GET", "/version?x=1", nil, "Invalid request method and/or path: GET version?."),
        ]
        for (method, path, body, words) in cases {
            let answer = try fixture.send(method, path, body)
            #expect(answer.status == 400 && answer.fault == words, "\(method) \(path): \(answer.fault)")
        }
        #expect(
            try fixture.send("PUT", "/logger", headers: [:], text: "{").fault.contains("EOF while parsing an object")
        )
    }

    @Test func `a CPU template for processors of another vendor is refused at the start`() throws {
        let template: JSONValue = HostDescription.current().vendor == "AuthenticAMD" ? "C3" : "T2A"
        try fixture.put("/boot-source", ["kernel_image_path": try fixture.file("kernel")]).succeed()
        try fixture.put("/machine-config", ["vcpu_count": 1, "mem_size_mib": 64, "cpu_template": template]).succeed()
        let answer = try fixture.put("/actions", ["action_type": "InstanceStart"])
        #expect(answer.status == 400 && answer.fault.contains("CPU vendor mismatched"), "\(answer.fault)")
    }

    @Test func `a field that is to go is answered with a header, whatever the answer is`() throws {
        let folder = try TemporaryFolder()
        let vsock: JSONValue = ["guest_cid": 3, "uds_path": .string("\(folder.path)/v")]
        #expect(try fixture.put("/vsock", vsock).headers["Deprecation"] == nil)
        #expect(try fixture.put("/vsock", vsock.setting("vsock_id", "v")).headers["Deprecation"] == "true")
        let load: JSONValue = ["snapshot_path": "/none", "mem_file_path": "/none"]
        let refused = try APIFixture(dialect: .firecracker).put("/snapshot/load", load)
        #expect(refused.status == 400 && refused.headers["Deprecation"] == "true", "\(refused.fault)")
    }

    @Test func `an interface whose replacement is refused is gone, and addresses of groups are taken`() throws {
        let socket: JSONValue = ["backend": "stream", "path": "/socket"]
        func put(_ id: String, _ address: String, _ place: JSONValue?) throws -> Answer {
            var interface: JSONValue = [
                "iface_id": .string(id), "host_dev_name": "no-such-tap", "guest_mac": .string(address),
            ]
            if let place { interface = interface.setting("martlet", place) }
            return try fixture.put("/network-interfaces/\(id)", interface)
        }
        try put("1", "06:00:00:00:00:01", socket).succeed()
        try put("2", "07:00:00:00:00:01", socket).succeed()
        #expect(try put("2", "06:00:00:00:00:01", socket).fault.contains("already in use"))
        #expect(try put("1", "06:00:00:00:00:01", nil).fault.contains("No such device (os error 19)"))
        try put("3", "06:00:00:00:00:01", socket).succeed()
        let interfaces = try fixture.get("/vm/config")["network-interfaces"]
        #expect(interfaces[0]["iface_id"] == "2" && interfaces[1]["iface_id"] == "3" && interfaces[2] == .null)
    }

    @Test func `addresses that vsock reserves are taken`() throws {
        for address in [0, 2, 4_294_967_295] {
            let path = "\(fixture.folder.path)/vsock"
            try fixture.put("/vsock", ["guest_cid": .integer(Int64(address)), "uds_path": .string(path)]).succeed()
        }
    }

    @Test func `a body that is too large is answered in the form of Firecracker's server`() throws {
        let text = "{\"log_path\": \"" + String(repeating: "x", count: 60_000) + "\"}"
        let client = HTTPClient(connectingTo: fixture.socketPath)
        let response = try client.request("PUT", "/logger", body: Array(text.utf8), timeout: Deadline.standard)
        #expect(response.status == 400 && response.headers["Server"] == "Firecracker API")
        let words = "Request payload with size \(text.utf8.count) is larger than the limit of 51200 allowed by server."
        #expect(
            String(decoding: response.body, as: UTF8.self)
                == "{ \"error\": \"\(words)\nAll previous unanswered requests will be dropped.\" }"
        )
    }
}
