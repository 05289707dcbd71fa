// SPDX-License-Identifier: Apache-2.0

import HTTP
import JSON
import MachineAPI
import SystemPackage
import TestSupport
import Testing

/// Tests of requests to a running machine.
@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct RunningMachineTests {
    private let fixture: APIFixture

    init() throws {
        fixture = try APIFixture()
    }

    private func addDrive(_ identifier: String) throws {
        try fixture.put(
            "/drives/\(identifier)",
            [
                "drive_id": .string(identifier), "is_root_device": false,
                "path_on_host": try fixture.disk(identifier),
            ]
        ).succeed()
    }

    private func problems(_ answer: Answer, _ name: String) throws -> [String] {
        let description = try APIDescription.current.get()
        let operation = try #require(description.operations.first { $0.name == name })
        return description.problems(with: answer, to: operation)
    }

    // MARK: - Order

    @Test func `a machine starts once, and is not configured any more`() throws {
        try addDrive("a")
        try fixture.start([.spin])
        #expect(try fixture.get("/")["state"] == "Running")
        let refusal = "The requested operation is not supported after starting the microVM."
        let file = try fixture.file("file")
        let drive: JSONValue = ["drive_id": "b", "is_root_device": false, "path_on_host": file]
        #expect(try fixture.act("InstanceStart").fault == refusal)
        #expect(try fixture.put("/boot-source", ["kernel_image_path": file]).fault == refusal)
        #expect(try fixture.put("/machine-config", ["vcpu_count": 1, "mem_size_mib": 16]).fault == refusal)
        #expect(try fixture.patch("/machine-config", ["vcpu_count": 1]).fault == refusal)
        #expect(try fixture.put("/drives/b", drive).fault == refusal)
        #expect(try fixture.put("/entropy", [:]).fault == refusal)
        #expect(try fixture.put("/serial", [:]).fault == refusal)
        #expect(try fixture.put("/metrics", ["metrics_path": file]).fault == refusal)
        try fixture.put("/logger", ["level": "Off"]).succeed()
    }

    @Test func `a start that fails can be made again`() throws {
        try fixture.configure([.spin])
        try fixture.put("/serial", ["serial_out_path": "/nowhere/serial"]).succeed()
        #expect(try fixture.act("InstanceStart").fault.hasPrefix("cannot open /nowhere/serial for the console"))
        #expect(try fixture.get("/")["state"] == "Not started")
        try fixture.put("/serial", [:]).succeed()
        try fixture.act("InstanceStart").succeed()
    }

    @Test func `every answer about a running machine is as described`() throws {
        try addDrive("a")
        try fixture.start([.write("x"), .spin])
        for route in MachineService.routes where route.method == "GET" && route.path != "/martlet/wait" {
            let answer = try fixture.send("GET", route.path)
            #expect(try problems(answer, "GET \(route.path)") == [])
        }
        for action in ["PowerButton", "Shutdown", "SendBreak", "RescanDrives"] {
            let answer = try fixture.act(martlet: action)
            #expect(answer.status < 300)
            #expect(try problems(answer, "PUT /martlet/actions") == [])
        }
        try fixture.act("SendCtrlAltDel").succeed()
    }

    // MARK: - Pause

    @Test func `a paused machine sends nothing until it is resumed`() throws {
        try fixture.start([.forever([.out(0x3f8, 0x2e)])])
        try fixture.waitForOutput(1)
        for _ in 0..<3 {
            try fixture.patch("/vm", ["state": "Paused"]).succeed()
            try fixture.patch("/vm", ["state": "Paused"]).succeed()
            #expect(try fixture.get("/")["state"] == "Paused")
            let stats = try fixture.get("/martlet/stats")
            guard case .integer(let position) = try fixture.get("/martlet/machine")["console_position"] else { return }
            #expect(try fixture.get("/martlet/stats")["vcpus"] == stats["vcpus"])
            try fixture.patch("/vm", ["state": "Resumed"]).succeed()
            #expect(try fixture.get("/")["state"] == "Running")
            try fixture.waitForOutput(position + 1)
        }
    }

    // MARK: - Counters

    @Test func `exits and output are counted`() throws {
        try fixture.start(Array(repeating: .read(0x64), count: 7) + [.write("four"), .spin])
        try fixture.waitForOutput(4)
        let stats = try fixture.get("/martlet/stats")
        #expect(stats["vcpus"][0]["exits"]["io_in"] == 7)
        #expect(stats["console"]["bytes_sent"] == 4)
    }

    @Test func `FlushMetrics writes a line with what was counted since the last`() throws {
        let path = "\(fixture.folder.path)/metrics"
        try fixture.put("/metrics", ["metrics_path": .string(path)]).succeed()
        #expect(
            try fixture.put("/metrics", ["metrics_path": .string(path)]).fault
                == "Reinitialization of metrics not allowed."
        )
        try addDrive("a")
        let limit: JSONValue = ["size": 4, "refill_time": 3_600_000]
        try fixture.put("/serial", ["serial_out_path": .string(path + ".serial"), "rate_limiter": limit]).succeed()
        try fixture.start(Array(repeating: .read(0x64), count: 7) + [.write("four and six"), .spin])
        try fixture.waitForOutput(4)
        try fixture.act("FlushMetrics").succeed()
        try fixture.act("FlushMetrics").succeed()
        fixture.service.stop()
        _ = try fixture.service.waitUntilEnded()
        let lines = try fixture.folder.read("metrics").split(separator: UInt8(ascii: "\n"))
        let metrics = try lines.map { try JSONValue(parsing: Array($0)) }
        // A minute's end may have added one.
        #expect(metrics.count >= 3)
        func sum(_ group: String, _ field: String) -> Int64 {
            metrics.reduce(0) { $0 + ($1[group][field].integerValue ?? 0) }
        }
        #expect(sum("vcpu", "exit_io_in") == 7)
        #expect(sum("uart", "write_count") == 4 && sum("uart", "missed_write_count") == 0)
        #expect(sum("uart", "rate_limiter_dropped_bytes") == 8)
        #expect(sum("put_api_requests", "actions_count") == 3)
        #expect(metrics[0]["put_api_requests"]["actions_count"] == 1, "the start is not in its own line")
        #expect(sum("put_api_requests", "metrics_count") == 2 && sum("put_api_requests", "metrics_fails") == 1)
        #expect(metrics.allSatisfy { $0["block_a"]["read_count"] == 0 && $0["block"]["read_count"] == 0 })
    }

    @Test func `FlushMetrics without a file writes nothing`() throws {
        try fixture.start([.spin])
        try fixture.act("FlushMetrics").succeed()
    }

    @Test func `metrics begin with the start, in all groups, with the name and the properties that are wanted`() throws
    {
        let path = "\(fixture.folder.path)/metrics"
        let properties: JSONValue = ["customer": "1234", "fleet": "a"]
        try fixture.put("/metrics", ["metrics_path": .string(path), "emit_id": true, "properties": properties])
            .succeed()
        try addDrive("a")
        try fixture.start([.spin])
        let line = try #require(try fixture.folder.read("metrics").split(separator: UInt8(ascii: "\n")).first)
        let metrics = try JSONValue(parsing: Array(line))
        #expect(metrics["id"] == "test")
        #expect(metrics["properties"] == properties)
        // utc_timestamp_ms, the two above, 22 groups and one for the drive.
        #expect(metrics.members.names.count == 26)
        #expect(metrics["block"].members.names == metrics["block_a"].members.names)
        #expect(metrics["block"]["read_agg"] == ["min_us": 0, "max_us": 0, "sum_us": 0])
    }

    // MARK: - Disks

    @Test func `a disk is limited, and given another file, while it is in use`() throws {
        try addDrive("a")
        try addDrive("b")
        try fixture.start([.spin])
        let limit: JSONValue = ["ops": ["size": 5, "refill_time": 100, "one_time_burst": 0]]
        try fixture.patch("/drives/b", ["drive_id": "b", "rate_limiter": limit]).succeed()
        let other = try fixture.disk("other")
        try fixture.patch("/drives/b", ["drive_id": "b", "path_on_host": other]).succeed()
        let drives = try fixture.get("/vm/config")["drives"]
        #expect(drives[1]["rate_limiter"]["ops"] == limit["ops"])
        #expect(drives[1]["path_on_host"] == other)
        #expect(drives[0]["rate_limiter"] == .null)
        #expect(try fixture.patch("/drives/c", ["drive_id": "c"]).fault == "There is no drive 'c'.")
        #expect(try fixture.patch("/drives/b", ["drive_id": "b"]).fault == "Empty PATCH request.")
        #expect(try fixture.get("/vm/config")["drives"] == drives)
        // Buckets that a change leaves out stay; zeros take a limit away.
        let speed: JSONValue = ["bandwidth": ["size": 5000, "refill_time": 100, "one_time_burst": 0]]
        try fixture.patch("/drives/b", ["drive_id": "b", "rate_limiter": speed]).succeed()
        try fixture.patch("/drives/b", ["drive_id": "b", "rate_limiter": [:]]).succeed()
        var limits = try fixture.get("/vm/config")["drives"][1]["rate_limiter"]
        #expect(limits["ops"] == limit["ops"] && limits["bandwidth"] == speed["bandwidth"])
        let none: JSONValue = ["bandwidth": ["size": 0, "refill_time": 0]]
        try fixture.patch("/drives/b", ["drive_id": "b", "rate_limiter": none]).succeed()
        limits = try fixture.get("/vm/config")["drives"][1]["rate_limiter"]
        #expect(limits["ops"] == limit["ops"] && limits["bandwidth"] == .null)
        #expect(try fixture.patch("/drives/b", ["drive_id": "b", "path_on_host": "/nowhere"]).status == 400)
    }

    @Test func `disks that have grown are found`() throws {
        try addDrive("a")
        try addDrive("b")
        try fixture.start([.spin])
        #expect(try fixture.act(martlet: "RescanDrives").body == ["changed": []])
        let path = try fixture.folder.makeSparseFile("b", byteCount: 2 << 20)
        #expect(try fixture.act(martlet: "RescanDrives").body == ["changed": [.string(path)]])
    }

    // MARK: - The end

    private static func wait(at path: FilePath) throws -> HTTPResponse {
        try HTTPClient(connectingTo: path).request("GET", "/martlet/wait", timeout: Deadline.standard)
    }

    @Test func `who waits learns how the machine ended`() async throws {
        let path = fixture.socketPath
        async let early = Self.wait(at: path)
        try fixture.start([.echo(byteCount: 1), .exit(5), .spin])
        async let late = Self.wait(at: path)
        try fixture.attach().type("x")
        for response in try await [early, late] {
            let answer = try Answer(response)
            #expect(try problems(answer, "GET /martlet/wait") == [])
            #expect(answer.body == ["outcome": "exited", "exit_status": 5, "message": .null, "notes": []])
        }
        #expect(try fixture.get("/martlet/wait")["exit_status"] == 5)
        #expect(try fixture.get("/martlet/machine")["outcome"]["outcome"] == "exited")
        #expect(try fixture.patch("/vm", ["state": "Paused"]).status == 400)
    }

    @Test func `Kill ends the machine without asking`() throws {
        try fixture.start([.spin])
        try fixture.act(martlet: "Kill").succeed()
        #expect(try fixture.get("/martlet/wait")["outcome"] == "stopped")
    }

    @Test func `a paused machine can be killed`() throws {
        try fixture.start([.spin])
        try fixture.patch("/vm", ["state": "Paused"]).succeed()
        try fixture.act(martlet: "Kill").succeed()
        #expect(try fixture.get("/martlet/wait")["outcome"] == "stopped")
    }
}
