// SPDX-License-Identifier: Apache-2.0

import Console
import Glibc
import HTTP
import Host
import JSON
import Machine
import MachineAPI
import SystemPackage
import TestSupport

/// A machine's service behind a real socket, for one test.
final class APIFixture {
    let folder: TemporaryFolder
    let service: MachineService
    let socketPath: FilePath
    private let server: HTTPServer
    private let client: HTTPClient

    init(log: MonitorLog = MonitorLog(identifier: "test"), dialect: APIDialect = .martlet) throws {
        folder = try TemporaryFolder()
        socketPath = FilePath("\(folder.path)/api.socket")
        let service = MachineService(
            identifier: "test",
            attachment: ConsoleAttachment(),
            console: try MachineConsole(logger: log.logger),
            log: log,
            dialect: dialect,
            onEnd: { _ in }
        )
        self.service = service
        server = try HTTPServer(
            socket: try UnixSocket.listen(at: socketPath),
            style: .of(dialect),
            handler: service.handle
        )
        try server.start()
        client = HTTPClient(connectingTo: socketPath)
    }

    deinit {
        service.stop()
        _ = try? service.waitUntilEnded()
        server.stop()
    }

    // MARK: - Requests

    @discardableResult
    func send(_ method: String, _ target: String, _ body: JSONValue? = nil) throws -> Answer {
        try send(method, target, text: body?.text)
    }

    func send(_ method: String, _ target: String, headers: HTTPHeaders = [:], text: String?) throws -> Answer {
        try Answer(
            client.request(
                method,
                target,
                headers: headers,
                body: text.map { Array($0.utf8) },
                timeout: Deadline.standard
            )
        )
    }

    func get(_ target: String) throws -> JSONValue { try send("GET", target).body }

    @discardableResult
    func put(_ target: String, _ body: JSONValue) throws -> Answer { try send("PUT", target, body) }

    @discardableResult
    func patch(_ target: String, _ body: JSONValue) throws -> Answer { try send("PATCH", target, body) }

    @discardableResult
    func act(_ action: String) throws -> Answer { try put("/actions", ["action_type": .string(action)]) }

    @discardableResult
    func act(martlet action: String) throws -> Answer {
        try put("/martlet/actions", ["action_type": .string(action)])
    }

    // MARK: - Files

    /// An empty file, as good as any where it is only looked whether it is there.
    func file(_ name: String) throws -> JSONValue { .string(try folder.write([], to: name)) }

    /// The same with place for a disk.
    func disk(_ name: String) throws -> JSONValue {
        .string(try folder.makeSparseFile(name, byteCount: 1 << 20))
    }

    func makePipe(_ name: String) throws -> String {
        let path = "\(folder.path)/\(name)"
        guard unsafe mkfifo(path, 0o600) == 0 else { throw Errno(rawValue: errno) }
        return path
    }

    // MARK: - A guest

    /// Sets up a machine of few bytes.
    func configure(_ code: [GuestCode]) throws {
        let kernel = try folder.write(TinyELF(code).bytes, to: "kernel")
        try put("/boot-source", ["kernel_image_path": .string(kernel)]).succeed()
        try put(
            "/machine-config",
            ["vcpu_count": 1, "mem_size_mib": 16, "martlet": ["exit_status_port": true]]
        ).succeed()
    }

    func start(_ code: [GuestCode]) throws {
        try configure(code)
        try act("InstanceStart").succeed()
    }

    /// Attaches to the console.
    func attach(_ query: String = "") throws -> ConsoleClient {
        try ConsoleClient(
            HTTPClient(connectingTo: socketPath).upgrade(
                "/martlet/console\(query)",
                to: "martlet-console",
                timeout: Deadline.standard
            )
        )
    }

    /// Waits until the guest has sent this many bytes.
    func waitForOutput(_ byteCount: Int64) throws {
        try Deadline.wait(for: "output of the guest") { try outputByteCount >= byteCount }
    }

    /// The number of bytes that the guest has sent.
    private var outputByteCount: Int64 {
        get throws {
            guard case .integer(let count) = try get("/martlet/machine")["console_position"] else { return 0 }
            return count
        }
    }

    /// Resumes the paused guest, and waits until it has done something.
    func resumeForOutput() throws {
        let before = try outputByteCount
        try patch("/vm", ["state": "Resumed"]).succeed()
        try waitForOutput(before + 1000)
    }
}

/// A response, read.
struct Answer {
    struct Unexpected: Error {
        let status: Int
        let fault: String
    }

    let status: Int
    let headers: HTTPHeaders
    /// Null where there is none.
    let body: JSONValue

    init(_ response: HTTPResponse) throws {
        (status, headers) = (response.status, response.headers)
        body = response.body.isEmpty ? .null : try JSONValue(parsing: response.body)
    }

    /// The problems that were found.
    var fault: String {
        if case .string(let message) = body["fault_message"] { message } else { "" }
    }

    func succeed() throws {
        guard status == 204 || status == 200 else { throw Unexpected(status: status, fault: fault) }
    }
}

extension JSONValue {
    /// An element of an array; null where there is none.
    subscript(index: Int) -> JSONValue {
        if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { .null }
    }

    var members: JSONObject {
        if case .object(let object) = self { object } else { [:] }
    }

    var elements: [JSONValue] {
        if case .array(let elements) = self { elements } else { [] }
    }

    /// The text; empty for anything else.
    var string: String {
        if case .string(let text) = self { text } else { "" }
    }

    /// This object with another member, or without one.
    func setting(_ name: String, _ value: JSONValue?) -> JSONValue {
        var object = members
        object[name] = value
        return .object(object)
    }
}
