// SPDX-License-Identifier: Apache-2.0

import JSON
import MachineAPI
import MachineModel
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
}
