// SPDX-License-Identifier: Apache-2.0

import JSON
import MachineAPI
import MachineModel
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
        try fixture.service.configure(MachineConfiguration(file: FilePath(path)))
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
        #expect(try error("[]", fixture).hasSuffix("must be an object."))
        #expect(try error("{}", fixture) == "boot-source: is missing")
        #expect(try error(#"{"boot-source":{}}"#, fixture).hasSuffix("boot-source.kernel_image_path: is missing."))
        let kernel = try fixture.file("kernel").text
        let start = "{\"boot-source\":{\"kernel_image_path\":\(kernel)},"
        #expect(try error(start + "\"x\":{}}", fixture).hasSuffix("x: unknown field."))
        #expect(try error(start + "\"drives\":{}}", fixture).hasSuffix("drives: must be an array."))
        #expect(
            try error(start + "\"pmem\":[{}]}", fixture).hasSuffix("pmem: Martlet does not offer it.")
        )
        let path = FilePath("/nowhere/machine.json")
        let missing = #expect(throws: APIError.self) { try MachineConfiguration(file: path) }
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
        let text = "{\"boot-source\":{\"kernel_image_path\":\(kernel)},\"pmem\":[],\"balloon\":null}"
        try configure(fixture, text)
        #expect(try fixture.get("/vm/config")["boot-source"]["kernel_image_path"].text == kernel)
    }

    @Test func `a whole of one drive twice, or of two roots, is refused`() throws {
        let kernel = try fixture.file("kernel").text
        let disk = try fixture.disk("disk").text
        func drives(_ first: String, _ second: String) throws -> String {
            func drive(_ rest: String) -> String { "{\"path_on_host\":\(disk),\(rest)}" }
            let text =
                "{\"boot-source\":{\"kernel_image_path\":\(kernel)},\"drives\":[\(drive(first)),\(drive(second))]}"
            return try error(text, fixture)
        }
        let (a, b) = (#""drive_id":"a","is_root_device":true"#, #""drive_id":"b","is_root_device":true"#)
        #expect(try drives(a, b) == "drives[1]: a root block device already exists: 'a'")
        #expect(try drives(a, #""drive_id":"a","is_root_device":false"#) == "drives[1]: there is a drive 'a' already")
    }
}
