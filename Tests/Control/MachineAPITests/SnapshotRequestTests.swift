// SPDX-License-Identifier: Apache-2.0

import Glibc
import JSON
import Machine
import MachineAPI
import Snapshot
import SystemPackage
import TestSupport
import Testing

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct SnapshotRequestTests {
    private let fixture: APIFixture
    private let files: TemporaryFolder

    init() throws {
        (fixture, files) = (try APIFixture(), try TemporaryFolder())
    }

    private var creation: JSONValue {
        ["snapshot_type": "Full", "snapshot_path": .string(path("state")), "mem_file_path": .string(path("memory"))]
    }

    private var load: JSONValue {
        [
            "snapshot_path": .string(path("state")),
            "mem_backend": ["backend_type": "File", "backend_path": .string(path("memory"))],
        ]
    }

    private func path(_ name: String) -> String { "\(files.path)/\(name)" }

    /// The sizes of the mappings that this process has of a file.
    private func mappedByteCounts(of path: String) throws -> [Int] {
        let maps = String(decoding: try FileContents.read("/proc/self/maps"), as: UTF8.self)
        return maps.split(separator: "\n").filter { $0.hasSuffix(path) }.map { line in
            let ends = line.prefix { $0 != " " }.split(separator: "-").compactMap { Int($0, radix: 16) }
            return ends[1] - ends[0]
        }
    }

    /// Counts forever, from 0 to 254 and anew.
    private static let count = GuestCode.forever([GuestCode.countPolitely(byteCount: 255)])

    /// Starts a machine with a disk, pauses it and saves it.
    private func save() throws {
        try fixture.configure([Self.count])
        let disk = try fixture.disk("disk")
        let drive: JSONValue = ["drive_id": "data", "is_root_device": false, "path_on_host": disk]
        try fixture.put("/drives/data", drive).succeed()
        try fixture.act("InstanceStart").succeed()
        try fixture.patch("/vm", ["state": "Paused"]).succeed()
        try fixture.put("/snapshot/create", creation).succeed()
    }

    @Test func `a paused machine is saved, stays paused, and another process's machine goes on from the files`() throws
    {
        try save()
        #expect(try fixture.get("/")["state"] == "Paused")
        #expect(try files.names().sorted() == ["disks", "memory", "state"])
        let other = try APIFixture()
        try other.put("/snapshot/load", load).succeed()
        #expect(try other.get("/")["state"] == "Paused")
        let configuration = try other.get("/vm/config")
        #expect(configuration["machine-config"]["mem_size_mib"] == 16)
        #expect(configuration["drives"][0]["drive_id"] == "data")
        #expect(configuration["drives"][0]["path_on_host"] == .string("private-copy:" + path("disks/data")))
        let console = try other.attach()
        try other.patch("/vm", ["state": "Resumed"]).succeed()
        #expect(try console.read(100).utf8.count >= 100)
        #expect(try other.put("/snapshot/load", load).fault.contains("after starting"))
        // It replaces what is there, also under its own feet.
        #expect(try other.put("/snapshot/create", creation).fault.contains("save/restore unavailable while running"))
        try other.patch("/vm", ["state": "Paused"]).succeed()
        try other.put("/snapshot/create", creation).succeed()
        try other.patch("/vm", ["state": "Resumed"]).succeed()
        let third = try APIFixture()
        #expect(configuration["machine-config"]["huge_pages"] == "None")
        try third.put("/snapshot/load", load.setting("resume_vm", true).setting("huge_pages", "Transparent")).succeed()
        #expect(try third.get("/machine-config")["huge_pages"] == "Transparent")
        #expect(try third.get("/")["state"] == "Running")
        #expect(third.service.isOrdered)
    }

    @Test func `under the name firecracker a snapshot has no disks, and a load opens them where they were`() throws {
        let (first, second) = (try APIFixture(dialect: .firecracker), try APIFixture(dialect: .firecracker))
        try first.configure([Self.count])
        let disk = try first.disk("disk")
        let drive: JSONValue = [
            "drive_id": "data", "is_root_device": false, "is_read_only": true, "path_on_host": disk,
        ]
        try first.put("/drives/data", drive).succeed()
        try first.act("InstanceStart").succeed()
        // The file of the save is meant, not that of the start.
        let other = try first.disk("other")
        try first.patch("/drives/data", ["drive_id": "data", "path_on_host": other]).succeed()
        try first.patch("/vm", ["state": "Paused"]).succeed()
        try first.put("/snapshot/create", creation).succeed()
        #expect(try files.names().sorted() == ["memory", "state"])
        try second.put("/snapshot/load", load).succeed()
        #expect(try second.get("/vm/config")["drives"][0]["path_on_host"] == other)
        let vsock = load.setting("vsock_override", ["uds_path": .string(path("v.sock"))])
        let third = try APIFixture(dialect: .firecracker)
        #expect(try third.put("/snapshot/load", vsock).fault.contains("Unknown Vsock Device"))
        #expect(try mappedByteCounts(of: path("memory")) == [16 << 20])
        // Elsewhere a state names no file.
        #expect(try APIFixture().put("/snapshot/load", load).fault.contains("the snapshot has no copy of it"))
    }

    @Test func `under the name firecracker a memory file is the memory alone, and only its own state takes it`() throws
    {
        let first = try APIFixture(dialect: .firecracker)
        let increment = GuestCode([0xff, 0x04, 0x25, 0x00, 0x00, 0x20, 0x00])  // inc dword [0x20_0000]
        try first.start([GuestCode.forever([increment, GuestCode.countPolitely(byteCount: 255)])])
        func save(_ kind: JSONValue, _ number: Int) throws {
            try first.patch("/vm", ["state": "Paused"]).succeed()
            let body: JSONValue = [
                "snapshot_type": kind, "snapshot_path": .string(path("state\(number)")),
                "mem_file_path": .string(path("memory\(number)")),
            ]
            try first.put("/snapshot/create", body).succeed()
        }
        func fault(_ state: Int, _ memory: String) throws -> String {
            let body = load.setting("snapshot_path", .string(path("state\(state)"))).setting(
                "mem_backend",
                ["backend_type": "File", "backend_path": .string(path(memory))]
            )
            let answer = try APIFixture(dialect: .firecracker).put("/snapshot/load", body)
            return answer.status == 204 ? "" : answer.fault
        }
        // The first differences are the whole.
        try save("Diff", 1)
        try save("Full", 2)
        func memory(_ name: String) throws -> [UInt8] { try FileContents.read(path(name)) }
        #expect(try memory("memory1").count == 16 << 20 && memory("memory1") == memory("memory2"))
        try first.resumeForOutput()
        try save("Full", 3)
        try files.write(memory("memory3"), to: "copy")
        #expect(try (fault(1, "memory1"), fault(1, "memory2"), fault(3, "copy")) == ("", "", ""))
        #expect(try fault(1, "memory3").contains("another snapshot"))
        #expect(try fault(3, "memory1").contains("another snapshot"))
        // Firecracker's tools write differences over the memory that they are to.
        try first.resumeForOutput()
        try save("Diff", 4)
        #expect(try fault(4, "memory4").contains("martlet snapshot merge"))
        let place = SnapshotPlace(state: FilePath(path("state4")), memory: FilePath(path("memory4")))
        let (changes, file) = (try memory("memory4"), try FileDescriptor.open(FilePath(path("memory3")), .writeOnly))
        for part in try #require(MachineSnapshot(place).machine.memory.parts) {
            let bytes = changes[Int(part.lowerBound)..<Int(part.upperBound)]
            try file.writeAll(toAbsoluteOffset: Int64(part.lowerBound), bytes)
        }
        try file.close()
        #expect(try fault(4, "memory3") == "")
        #expect(try fault(3, "memory3").contains("another snapshot"))
    }

    @Test func `under the name firecracker, Firecracker's words tell which file of a snapshot is wrong`() throws {
        let first = try APIFixture(dialect: .firecracker)
        try first.configure([Self.count])
        let disk = try first.folder.makeSparseFile("disk", byteCount: 1 << 20)
        let drive: JSONValue = [
            "drive_id": "data", "is_root_device": false, "is_read_only": true, "path_on_host": .string(disk),
        ]
        try first.put("/drives/data", drive).succeed()
        try first.act("InstanceStart").succeed()
        try first.patch("/vm", ["state": "Paused"]).succeed()
        try first.put("/snapshot/create", creation).succeed()
        func fault(_ load: JSONValue) throws -> String {
            try APIFixture(dialect: .firecracker).put("/snapshot/load", load).fault
        }
        let beginning = "Load snapshot error: Failed to restore from snapshot: "
        let empty = JSONValue.string(try files.write([], to: "empty"))
        #expect(try fault(load.setting("snapshot_path", empty)).hasSuffix("IO Error: File too short to contain CRC"))
        // A socket is what not even root can open.
        let socket = JSONValue.string(first.socketPath.string)
        let cause = "No such device or address (os error 6)"
        #expect(
            try fault(load.setting("snapshot_path", socket)) == beginning
                + "Failed to get snapshot state from file: Failed to open snapshot file: \(cause)"
        )
        #expect(
            try fault(load.setting("mem_backend", ["backend_type": "File", "backend_path": socket])) == beginning
                + "Failed to load guest memory: Error creating guest memory from file: Failed to load guest memory: \(cause)"
        )
        #expect(unsafe unlink(disk) == 0)
        #expect(
            try fault(load) == beginning + "Virtio backend error: Error manipulating the backing file: "
                + "No such file or directory (os error 2) \(disk)"
        )
    }

    @Test func `a machine that was restored to wait is nobody's until its client says what it is to do`() throws {
        try save()
        let kept = try APIFixture()
        try kept.put("/snapshot/load", load).succeed()
        #expect(!kept.service.isOrdered)
        try kept.patch("/vm", ["state": "Paused"]).succeed()
        #expect(kept.service.isOrdered)
        let given = try APIFixture()
        try given.put("/snapshot/load", load).succeed()
        given.service.abandon()
        #expect(try given.service.waitUntilEnded() == nil)
    }

    @Test func `a load names other files for disks, and says what is missing`() throws {
        try save()
        let disk = try fixture.disk("other")
        func loaded(_ id: JSONValue, _ path: JSONValue) throws -> Answer {
            let override: JSONValue = ["drive_id": id, "path_on_host": path]
            return try APIFixture().put("/snapshot/load", load.setting("martlet", ["drive_overrides": [override]]))
        }
        try loaded("data", disk).succeed()
        #expect(try loaded("vda", disk).fault.contains("no such disk; its disks: data"))
        #expect(try loaded("data", "/nowhere").fault.contains("/nowhere"))
    }

    @Test func `a load comes before all else but messages, and one that fails can be tried again`() throws {
        try save()
        let configured = try APIFixture()
        try configured.put("/machine-config", ["vcpu_count": 1, "mem_size_mib": 16]).succeed()
        #expect(
            try configured.put("/snapshot/load", load).fault.contains("not allowed after configuring boot-specific")
        )
        let other = try APIFixture()
        try other.put("/logger", ["level": "Debug"]).succeed()
        #expect(try other.put("/snapshot/load", load.setting("snapshot_path", "/nowhere/s")).fault.contains("/nowhere"))
        // The console's place is this process's own, and is not saved.
        let console = "\(other.folder.path)/console"
        try other.put("/serial", ["serial_out_path": .string(console)]).succeed()
        try other.put("/snapshot/load", load).succeed()
        #expect(try other.get("/vm/config")["serial"]["serial_out_path"] == .string(console))
        var status = stat()
        #expect(unsafe stat(console, &status) == 0)
    }

    @Test(
        arguments: [
            (["snapshot_path": "/s"], "either `mem_backend` or `mem_file_path` is required"),
            (
                [
                    "snapshot_path": "/s", "mem_file_path": "/m",
                    "mem_backend": ["backend_type": "File", "backend_path": "/m"],
                ], "either `mem_backend` or `mem_file_path` exclusively is required"
            ),
            (["snapshot_path": "/s", "mem_backend": ["backend_type": "Uffd", "backend_path": "/u"]], "userfaultfd"),
            (
                [
                    "snapshot_path": "/s", "mem_file_path": "/m",
                    "network_overrides": [["iface_id": "a-b", "host_dev_name": "tap0"]],
                ], "snapshot.network_overrides.iface_id"
            ),
        ] as [(JSONValue, String)]
    )
    func `what a load cannot do is refused in words`(body: JSONValue, words: String) throws {
        let answer = try fixture.put("/snapshot/load", body)
        #expect(answer.status == 400)
        #expect(answer.fault.contains(words), "\(answer.fault)")
    }

    @Test func `a differential snapshot is small, and makes a whole one with what it differs from`() throws {
        try save()
        let other = try APIFixture()
        try other.put("/snapshot/load", load.setting("track_dirty_pages", true)).succeed()
        try other.resumeForOutput()
        try other.patch("/vm", ["state": "Paused"]).succeed()
        let difference = creation.setting("snapshot_type", "Diff")
        // On top of the files of the last one, the differences make a whole one again.
        try other.put("/snapshot/create", difference).succeed()
        try APIFixture().put("/snapshot/load", load).succeed()
        unsafe mkdir(path("diff"), 0o700)
        let places: [(String, String)] = [("snapshot_path", "diff/state"), ("mem_file_path", "diff/memory")]
        try other.put("/snapshot/create", places.reduce(difference) { $0.setting($1.0, .string(path($1.1))) }).succeed()
        var status = stat()
        #expect(unsafe stat(path("diff/memory"), &status) == 0 && status.st_size > 16 << 20)
        #expect(status.st_blocks * 512 < 1 << 20)
        let third = try APIFixture()
        let changed = load.setting("snapshot_path", .string(path("diff/state"))).setting(
            "mem_backend",
            ["backend_type": "File", "backend_path": .string(path("diff/memory"))]
        )
        #expect(try third.put("/snapshot/load", changed).fault.contains("martlet snapshot merge"))
        let (base, diff) = (FilePath(files.path), FilePath(path("diff")))
        let whole = FilePath(path("whole"))
        try MachineSnapshot(diff).merge(into: MachineSnapshot(base), as: whole)
        let machine = try MachineSnapshot(whole)
        #expect(try machine.machine.memory.damage(in: machine.memory()).isEmpty)
        #expect(machine.machine.disks.map(\.isCopied) == [true])
        #expect(throws: SnapshotError.self) { try MachineSnapshot(base).merge(into: machine, as: FilePath(path("no"))) }
        let merged = load.setting("snapshot_path", .string("\(whole)/state")).setting(
            "mem_backend",
            ["backend_type": "File", "backend_path": .string("\(whole)/memory")]
        )
        try third.put("/snapshot/load", merged.setting("resume_vm", true)).succeed()
        #expect(try third.attach().read(100).utf8.count >= 100)
    }
}
