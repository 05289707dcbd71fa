// SPDX-License-Identifier: Apache-2.0

import JSON
import MachineAPI
import SystemPackage
import TestSupport
import Testing

struct ConfigurationFileTests {
    private let fixture: APIFixture

    init() throws {
        fixture = try APIFixture()
    }

    private func configure(_ fixture: APIFixture, _ text: String) throws {
        let path = try fixture.folder.write(Array(text.utf8), to: "machine.json")
        try fixture.service.configure(file: FilePath(path))
    }

    private func error(_ text: String, _ fixture: APIFixture) throws -> String {
        let path = "\(fixture.folder.path)/machine.json"
        let error = #expect(throws: APIError.self) { try configure(fixture, text) }
        return (error?.description ?? "").replacing("\(path): ", with: "")
    }

    @Test func `what GET /vm/config shows makes the same machine as a file`() throws {
        try Everything.configure(fixture)
        let configuration = try fixture.get("/vm/config")
        let other = try APIFixture()
        try configure(other, configuration.prettyText)
        #expect(try other.get("/vm/config") == configuration)
    }

    @Test func `what is wrong with a file is told with its name`() throws {
        #expect(try error("{", fixture).hasPrefix("An error occurred when deserializing"))
        #expect(try error("[]", fixture).hasSuffix("the configuration: must be an object."))
        #expect(try error("{}", fixture) == "the configuration has no 'boot-source'")
        #expect(try error(#"{"boot-source":{}}"#, fixture).hasSuffix("field 'kernel_image_path' is missing."))
        let kernel = try fixture.file("kernel").text
        let start = "{\"boot-source\":{\"kernel_image_path\":\(kernel)},"
        #expect(try error(start + "\"x\":{}}", fixture) == "unknown field 'x'")
        #expect(try error(start + "\"drives\":{}}", fixture) == "'drives' must be an array")
        #expect(
            try error(start + "\"network-interfaces\":[{}]}", fixture) == "Martlet does not offer network-interfaces."
        )
        let path = FilePath("/nowhere/machine.json")
        let missing = #expect(throws: APIError.self) { try fixture.service.configure(file: path) }
        #expect(missing?.description == "/nowhere/machine.json: cannot be read: No such file or directory")
    }

    @Test func `files are checked as requests are`() throws {
        #expect(
            try error(#"{"boot-source":{"kernel_image_path":"/nowhere"}}"#, fixture)
                .contains("the kernel: cannot open /nowhere")
        )
    }

    @Test func `a file for Firecracker may have what is not offered, as long as it is empty`() throws {
        let kernel = try fixture.file("kernel").text
        let text = "{\"boot-source\":{\"kernel_image_path\":\(kernel)},\"network-interfaces\":[],\"vsock\":null}"
        try configure(fixture, text)
        #expect(try fixture.get("/vm/config")["boot-source"]["kernel_image_path"].text == kernel)
    }
}
