// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import Logging
@testable import Machine
@testable import MachineAPI
import MachineModel
import SystemPackage
import TestSupport
import Testing
import Virtio

/// Tests of the files for messages and counters.
struct TelemetryTests {
    private let fixture: APIFixture

    init() throws {
        fixture = try APIFixture()
    }

    private func log() throws -> String { String(decoding: try fixture.folder.read("log"), as: UTF8.self) }

    /// Has a message of each level written.
    private func lines(_ settings: JSONValue) throws -> [String] {
        let log = MonitorLog(identifier: "m1")
        let path = "\(fixture.folder.path)/log"
        unsafe unlink(path)
        let service = try APIFixture(log: log)
        try service.put("/logger", settings.setting("log_path", .string(path))).succeed()
        for level in [Logger.Level.trace, .debug, .info, .warning, .error] {
            log.logger.log(level: level, "\(level) of the test", source: "Machine")
            log.logger.log(level: level, "\(level) of another", source: "HTTP")
        }
        return try self.log().split(separator: "\n").map(String.init).filter { $0.contains(" of ") }
    }

    @Test(arguments: [("Off", 0), ("Error", 1), ("warning", 2), ("WARN", 2), ("Info", 3), ("Debug", 4), ("trace", 5)])
    func `a level writes what is as important`(level: String, count: Int) throws {
        let lines = try lines(["level": .string(level)])
        #expect(lines.count == 2 * count)
    }

    @Test func `a line has the time and the machine, and more where it is wanted`() throws {
        let plain = try #require(try lines([:]).last)
        #expect(plain.firstMatch(of: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9} \[m1:[^:\]]+\] error of another$/) != nil)
        let full = try #require(try lines(["show_level": true, "show_log_origin": true]).last)
        #expect(full.firstMatch(of: /\[m1:[^:]+:ERROR:[^:]+\/TelemetryTests.swift:\d+\]/) != nil)
    }

    @Test func `a module's messages alone are written`() throws {
        let lines = try lines(["module": "Mach", "level": "Trace"])
        #expect(lines.count == 5)
        #expect(lines.allSatisfy { $0.hasSuffix("of the test") })
    }

    @Test func `settings can change, and the file stays`() throws {
        try fixture.put("/logger", ["log_path": .string("\(fixture.folder.path)/log"), "level": "Debug"]).succeed()
        #expect(try fixture.send("GET", "/one").status == 400)
        try fixture.put("/logger", ["level": "Off"]).succeed()
        #expect(try fixture.send("GET", "/two").status == 400)
        try fixture.put("/logger", ["level": "Debug"]).succeed()
        #expect(try fixture.send("GET", "/three").status == 400)
        let text = try log()
        #expect(text.contains("/one") && !text.contains("/two") && text.contains("/three"))
    }

    @Test(arguments: [("Debug", true), ("Info", false)])
    func `packets that a guest gets over vsock are in the log as Firecracker writes them`(
        level: JSONValue,
        areWritten: Bool
    ) throws {
        let log = MonitorLog(identifier: "m1")
        let service = try APIFixture(log: log)
        try service.put("/logger", ["log_path": .string("\(fixture.folder.path)/log"), "level": level]).succeed()
        let path = FilePath("\(fixture.folder.path)/v.sock")
        let device = try VsockDevice(guestCID: 7, path: path, listener: try UnixSocket.listen(at: path))
        log.follow(device)
        let driver = try FakeDriver(device)
        let token = try driver.request(writable: [44, 4096])
        let program = try UnixSocket.connect(to: path)
        _ = try program.send(Array("CONNECT 22\n".utf8)[...])
        device.handleEvents()
        #expect(try driver.reply(to: token).usedByteCount == 44)
        let line = """
            vsock muxer: RX pkt: VsockPacketHeader { src_cid: 2, dst_cid: 7, src_port: 1073741824, dst_port: 22, len: 0, \
            type_: 1, op: 1, flags: 0, buf_alloc: 65536, fwd_cnt: 0 }
            """
        #expect(try self.log().contains(line) == areWritten)
    }

    @Test func `a named pipe without a reader holds nobody up`() throws {
        let log = try fixture.makePipe("log")
        let metrics = try fixture.makePipe("metrics")
        try fixture.put("/logger", ["log_path": .string(log), "level": "Debug"]).succeed()
        try fixture.put("/metrics", ["metrics_path": .string(metrics)]).succeed()
        // More than a pipe holds.
        for _ in 0..<2000 { _ = try fixture.send("GET", "/nothing-with-a-name-that-takes-some-place") }
        let reader = unsafe open(log, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        var buffer = [UInt8](repeating: 0, count: 100)
        #expect(unsafe read(reader, &buffer, buffer.count) > 0)
    }

    @Test func `a write to a program that is gone counts like the signal that Firecracker gets`() throws {
        var now = MachineStatistics(vcpus: [], disks: [])
        now.vsock = .init()
        now.vsock?.brokenPipes = 1
        let last = now
        now.vsock?.brokenPipes = 3
        let frame = MetricsReport.Frame(requests: [("signals", ["sigpipe": 4])])
        let line = MetricsReport.line(now, since: last, of: MachineConfiguration(), frame)
        #expect(try JSONValue(parsing: Array(line.utf8))["signals"]["sigpipe"] == 6)
    }
}
