// SPDX-License-Identifier: Apache-2.0

import Console
import HTTP
import JSON
import Machine
import MachineAPI
import TestSupport
import Testing

/// docs/api/openapi.yaml and the service say the same.
struct DescriptionTests {
    private static let paths = [
        "kernel_image_path", "initrd_path", "path_on_host", "log_path", "metrics_path", "serial_out_path",
    ]
    /// Errors that are about the time of a request, or about what others have set, and not about its body.
    private static let faultsOfOrder = [
        "The MMDS data store is not initialized.", "The list of network interface IDs", "The MMDS IPv4 address",
        "The requested operation is not supported before starting the microVM.",
        "Cannot start microvm without kernel configuration.",
        // There is no snapshot; and a schema that says that one of two fields is there could not be tried field by field.
        "Load snapshot error: ", "either `mem_backend` or `mem_file_path`",
        // A schema cannot say that something must be there and differ from null.
        "Empty PATCH request.",
        "This machine has no terminal.",
    ]

    private func description() throws -> APIDescription { try APIDescription.current.get() }

    /// Fields whose value is a file that is there, or chosen by the path.
    private func texts(_ fixture: APIFixture) throws -> [String: JSONValue] {
        var texts: [String: JSONValue] = [:]
        for name in Self.paths { texts[name] = try fixture.file(name) }
        return texts
    }

    private func target(_ operation: APIDescription.Operation, _ body: JSONValue) -> String {
        guard let brace = operation.path.firstIndex(of: "{") else { return operation.path }
        let identifier = body[String(operation.path[brace...].dropFirst().dropLast())].string
        return operation.path[..<brace] + HTTPClient.encoded(identifier.isEmpty ? "text" : identifier)
    }

    @Test func `every route is described, and every operation has a route`() throws {
        let described = try description().operations.map(\.name).sorted()
        #expect(!described.isEmpty)
        #expect(described == MachineService.routes.map { "\($0.method) \($0.path)" }.sorted())
    }

    /// Each body that the description allows is taken, each other one is refused, and answers are as described.
    @Test(arguments: APIDescription.operations.filter { $0.requestSchema != .null })
    func `bodies are taken as described`(operation: APIDescription.Operation) throws {
        let description = try description()
        let schema = operation.requestSchema
        func check(_ body: JSONValue, _ fixture: APIFixture) throws -> Answer {
            let answer = try fixture.send(operation.method, target(operation, body), body)
            #expect(description.problems(with: answer, to: operation) == [], "\(operation.name) \(body.text)")
            let isTaken = answer.status < 400 || Self.faultsOfOrder.contains(where: answer.fault.contains)
            let problems = description.problems(with: body, schema)
            #expect(isTaken == problems.isEmpty, "\(operation.name) \(body.text): \(answer.fault) / \(problems)")
            return answer
        }
        let names = try texts(APIFixture())
        for index in description.candidates(schema, texts: names).indices {
            // Anew for each: some requests can be made once.
            let fixture = try APIFixture()
            let body = description.candidates(schema, texts: try texts(fixture))[index]
            let fault = try check(body, fixture).fault
            // A value that the service knows and the description does not would show here.
            guard let list = fault.firstMatch(of: /must be one of (.*?)(, not 'nonsense')?\.$/) else { continue }
            for value in list.output.1.split(separator: ", ") {
                let name = value.filter { $0 != "'" }
                let text = body.text.replacing("\"nonsense\"", with: "\"\(name)\"")
                _ = try check(JSONValue(parsing: Array(text.utf8)), APIFixture())
            }
        }
    }

    @Test(arguments: APIDescription.operations.filter { $0.requestSchema != .null })
    func `a body is required where one is described`(operation: APIDescription.Operation) throws {
        let fixture = try APIFixture()
        let answer = try fixture.send(operation.method, target(operation, .null))
        #expect(answer.status == 400)
        #expect(answer.fault == "Empty \(operation.method) request.")
        #expect(try fixture.send(operation.method, target(operation, .null), text: "{").status == 400)
    }

    @Test(arguments: APIDescription.operations.filter { $0.method == "GET" && $0.path != "/martlet/wait" })
    func `what is shown before the start is as described`(operation: APIDescription.Operation) throws {
        let fixture = try APIFixture()
        let answer = try fixture.send("GET", operation.path)
        #expect(try description().problems(with: answer, to: operation) == [])
        #expect(try fixture.send("GET", operation.path, ["a": 1]).fault == "GET request cannot have a body.")
    }

    @Test func `a whole configuration is as described`() throws {
        let fixture = try APIFixture()
        try Everything.configure(fixture)
        let description = try description()
        let operation = try #require(description.operations.first { $0.path == "/vm/config" })
        #expect(description.problems(with: try fixture.send("GET", "/vm/config"), to: operation) == [])
    }

    @Test func `what the server itself refuses is as described`() throws {
        let description = try description()
        let refused = description.document["components"]["responses"]["Refused"]
        let statuses = refused["x-martlet-statuses"].elements
        let fault = refused["content"]["application/json"]["schema"]
        let long = String(repeating: "a", count: 9000)
        func check(_ status: Int64, _ target: String = "/", headers: HTTPHeaders = [:], text: String? = nil) throws {
            let answer = try APIFixture().send("PUT", target, headers: headers, text: text)
            #expect(answer.status == status)
            #expect(statuses.contains(.integer(status)))
            #expect(description.problems(with: answer.body, fault) == [])
            #expect(refused["description"].string.contains("- \(status): "))
        }
        try check(413, text: String(repeating: " ", count: HTTPParserLimits().bodyByteCount + 1))
        try check(414, "/\(long)")
        try check(417, headers: ["Expect": "more"], text: "{}")
        try check(431, headers: ["X-Long": long])
        try check(501, headers: ["Transfer-Encoding": "gzip"])
    }

    @Test func `the limits that are told are those that there are`() throws {
        let text = try description().document.text
        let limits = HTTPServerLimits()
        for limit in [
            "has at most \(limits.request.bodyByteCount) bytes", "at most \(limits.request.headByteCount)",
            "at most \(limits.request.headerCount) fields", "at most \(limits.connectionCount) connections",
            "within \(limits.requestTime.components.seconds) seconds",
            "within \(limits.responseTime.components.seconds)",
            "closed after \(limits.idleTime.components.seconds)", "more than \(JSONValue.depthLimit) nested arrays",
            "at most \(MachineConsole.viewerLimit) watch", "\(MachineConsole.capacity) bytes",
        ] {
            #expect(text.replacing("\\n", with: " ").contains(limit), "\(limit)")
        }
    }
}
