// SPDX-License-Identifier: Apache-2.0

import HTTP
import JSON
import MachineAPI
import Metadata
import SystemPackage
import TestSupport
import Testing

/// The metadata service by the API.
@Suite struct MetadataRequestTests {
    private let fixture: APIFixture

    init() throws { fixture = try APIFixture(dialect: .firecracker) }

    private func addInterface() throws {
        let interface: JSONValue = [
            "iface_id": "eth0", "host_dev_name": "", "martlet": ["backend": "stream", "path": "/socket"],
        ]
        try fixture.put("/network-interfaces/eth0", interface).succeed()
    }

    @Test func `data is replaced, merged and read, and what does not fit is refused`() throws {
        #expect(try fixture.get("/mmds") == .object([:]))
        let early = try fixture.patch("/mmds", ["a": 1])
        #expect(early.status == 400 && early.fault == "The MMDS data store is not initialized.")
        try fixture.put("/mmds", ["latest": ["id": "1"]]).succeed()
        try fixture.patch("/mmds", ["latest": ["key": "2"]]).succeed()
        #expect(try fixture.get("/mmds") == ["latest": ["id": "1", "key": "2"]])
        // Large only when it is merged: the server's own limit is the same.
        let text = String(repeating: "a", count: 30_000)
        try fixture.put("/mmds", ["latest": ["id": "1"], "text": .string(text)]).succeed()
        let large = try fixture.patch("/mmds", ["more": .string(text)])
        #expect(large.status == 413 && large.fault == "The MMDS patch request doesn't fit.")
        #expect(try fixture.get("/mmds")["more"] == .null)
        #expect(try fixture.send("PUT", "/mmds", text: "{").status == 400)
        #expect(try fixture.send("PUT", "/mmds", text: nil).fault == "Empty PUT request.")
    }

    @Test func `the service needs interfaces that are there, and an address of its kind`() throws {
        func fault(_ body: JSONValue) throws -> String { try fixture.put("/mmds/config", body).fault }
        #expect(try fault(["network_interfaces": []]).hasSuffix("that allow forwarding MMDS requests is empty."))
        #expect(try fault(["network_interfaces": ["eth0"]]).hasSuffix("to any existing network interface."))
        try addInterface()
        for address in ["", "1.1.1.1", "169.254.0.1", "169.254.255.1"] {
            let body: JSONValue = ["network_interfaces": ["eth0"], "ipv4_address": .string(address)]
            #expect(try fault(body).hasSuffix("The MMDS IPv4 address is not link local."), "\(address)")
        }
        #expect(try fault(["network_interfaces": ["eth0"], "version": "V3"]).contains("V3"))
    }

    @Test func `the first version is deprecated, and the configuration has all fields`() throws {
        try addInterface()
        let first = try fixture.put("/mmds/config", ["network_interfaces": ["eth0"]])
        #expect(first.status == 204 && first.headers["Deprecation"] == "true")
        #expect(
            try fixture.get("/vm/config")["mmds-config"]
                == [
                    "network_interfaces": ["eth0"], "version": "V1", "ipv4_address": "169.254.169.254",
                    "imds_compat": false,
                ]
        )
        let second = try fixture.put("/mmds/config", ["network_interfaces": ["eth0"], "version": "V2"])
        #expect(second.status == 204 && second.headers["Deprecation"] == nil)
    }

    @Test func `a file has the first data, and a wrong one is an error that names it`() throws {
        let folder = try TemporaryFolder()
        let path = FilePath(try folder.write(Array(#"{ "a": [1, 2] }"#.utf8), to: "data.json"))
        let metadata = MetadataService()
        try metadata.read(path, limit: 100)
        #expect(metadata.value == ["a": [1, 2]])
        #expect(throws: APIError.self) { try MetadataService(limit: 8).read(path, limit: 8) }
        let error = #expect(throws: APIError.self) {
            try metadata.read(FilePath("\(folder.path)/none"), limit: 100)
        }
        #expect(error?.description.contains("/none: No such file or directory") == true)
    }
}
