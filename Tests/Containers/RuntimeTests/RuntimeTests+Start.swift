// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import RootImage
import SystemPackage
import TestSupport
import Testing

/// Tests of a container's start: its network, and the template of its machine.
extension RuntimeTests {
    @Test(.enabled(if: NetworkNamespace.isUsable, "\(NetworkNamespace.reason)"), arguments: [false, true])
    func `start ties the namespace's interfaces to TAPs and tells the machine their addresses; a pod has 127.0.0.1 too`(
        isPod: Bool
    ) throws {
        let sleep = ProcessLaunch("/bin/sleep", arguments: ["600"])
        let process = try NetworkNamespace.run {
            try NetworkNamespace.ip("link add eth0 address 02:00:00:00:00:05 mtu 1400 type veth peer name other")
            try NetworkNamespace.ip("address add 192.0.2.1/24 dev eth0")
            try NetworkNamespace.ip("link set eth0 up")
            try NetworkNamespace.ip("route add default via 192.0.2.254")
            return try sleep.start()
        }
        defer {
            try? process.send(SIGKILL)
            _ = process.takeStatus()
        }
        try folder.write("\(process.id)", "process-id")
        try configuration { configuration in
            let namespaces = configuration["linux"]["namespaces"].elements.map { namespace in
                namespace["type"] == "network"
                    ? namespace.with("path", .string("/proc/\(process.id)/ns/net")) : namespace
            }
            let annotations: JSONValue = ["io.kubernetes.cri.container-type": "sandbox"]
            return configuration.with("linux", configuration["linux"].with("namespaces", .array(namespaces)))
                .with("annotations", isPod ? annotations : nil)
        }
        #expect(try create().status == 0)
        let bundle = try self.bundle()
        // Twice: a machine that ended before may have left its filters.
        for _ in 0..<2 {
            let started = try call("start", "c1")
            #expect(started.status == 0 && started.text.isEmpty, "\(started.text)")
        }
        #expect(calls.suffix(2) == ["start", "c1"])
        let bytes = try FileContents.bytes(of: bundle.appending("c/network.json"), limit: 1 << 16)
        let address: (UInt32) -> JSONValue = { .integer(Int64($0.bigEndian)) }
        #expect(
            try JSONValue(parsing: bytes) == [
                [
                    "tap": "martlet0", "mtu": 1400, "mac": "02:00:00:00:00:05", "address": address(0xc000_0201),
                    "mask": address(0xffff_ff00),
                    "routes": .array(
                        (isPod ? [["to": address(0xa9fe_6d6c), "mask": 0xffff_ffff, "via": 0]] : [])
                            + [["to": 0, "mask": 0, "via": address(0xc000_02fe)]]
                    ),
                ]
            ]
        )
        let look = ["--net=/proc/\(process.id)/ns/net", "ip", "route", "get", "127.0.0.1"]
        let route = try HostProgram.run("/usr/bin/nsenter", look).text
        #expect(route.contains("dev martlet0 src 169.254.109.108") == isPod, "\(route)")
        for (from, to) in [("eth0", "martlet0"), ("martlet0", "eth0")] {
            let words = ["--net=/proc/\(process.id)/ns/net", "tc", "filter", "show", "dev", from, "ingress"]
            let filters = try HostProgram.run("/usr/bin/nsenter", words)
            #expect(filters.text.contains("mirred (Egress Redirect to device \(to))"))
        }
        // No machine has opened the TAP, and the engine may keep the namespace.
        #expect(try call("delete", "--force", "c1").status == 0)
        let words = ["--net=/proc/\(process.id)/ns/net", "ip", "-o", "link"]
        #expect(try !HostProgram.run("/usr/bin/nsenter", words).text.contains("martlet0"))
    }

    @Test(.enabled(if: NetworkNamespace.isUsable, "\(NetworkNamespace.reason)"))
    func `start has a template made beside the container, which waits for it; one that is there is only named`()
        throws
    {
        // A copy, beside a stand-in for Martlet.
        let program = folder.path.appending("martlet-runtime")
        #expect(try HostProgram.run("/bin/cp", [Self.program.string, program.string]).status == 0)
        let fifo = folder.path.appending("fifo")
        #expect(try HostProgram.run("/usr/bin/mkfifo", [fifo.string]).status == 0)
        try folder.write(
            "#!/bin/sh\necho \"$@\" > \(folder.path)/made\nread line < \(fifo)\n",
            "martlet",
            mode: 0o755
        )
        let sleep = try NetworkNamespace.run { try ProcessLaunch("/bin/sleep", arguments: ["600"]).start() }
        defer {
            try? sleep.send(SIGKILL)
            _ = sleep.takeStatus()
        }
        try folder.write("\(sleep.id)", "process-id")
        try configuration { $0.with("annotations", ["martlet.cpus": "2"]) }
        let bundle = "\(folder.path)/bundle"
        #expect(
            try call("create", "--bundle", bundle, "--pid-file", "\(folder.path)/p", "c1", program: program).status == 0
        )
        let state = try self.bundle()
        let outer = try JSONValue(parsing: FileContents.bytes(of: state.appending("config.json"), limit: 1 << 20))
        let mount = outer["mounts"].elements.first { $0["destination"] == "/m/templates" }
        let templates = "\(folder.path)/cache/martlet/templates"
        #expect(mount?["source"].string == templates && mount?["options"].elements.contains("ro") == true)

        #expect(try call("start", "c1", program: program).status == 0)
        let shared = state.appending("c")
        let name = try JSONValue(parsing: FileContents.bytes(of: shared.appending("template.json"), limit: 1 << 10))[
            "name"
        ].string
        let made = "container-template \(name ?? "") --folder \(templates) --memory 256 --cpus 2 --interfaces 0\n"
        try Deadline.wait(for: "the template's process") {
            (try? FileContents.text(of: folder.path.appending("made"), limit: 1 << 10)) == made
        }
        let lock = try OwnedDescriptor(opening: shared.appending("making"), O_RDONLY)
        #expect(flock(lock.rawValue, LOCK_SH | LOCK_NB) != 0)
        let writer = try OwnedDescriptor(opening: fifo, O_RDWR)
        try writer.borrowed.write(all: "over\n".utf8)
        try Deadline.wait(for: "the end of the template's process") { flock(lock.rawValue, LOCK_SH | LOCK_NB) == 0 }

        // The next one finds it.
        #expect(unsafe unlink(shared.appending("making").string) == 0)
        let template = "cache/martlet/templates/\(name ?? "")"
        try folder.makeFolder(template)
        for file in ["state", "memory"] { try folder.write(file, "\(template)/\(file)") }
        SnapshotSeal(of: folder.path.appending(template)).write()
        #expect(try call("start", "c1", program: program).status == 0)
        #expect(unsafe access(shared.appending("making").string, F_OK) != 0)
        // One that is damaged is made again.
        try folder.write("garbled", "\(template)/memory")
        #expect(try call("start", "c1", program: program).status == 0)
        #expect(unsafe access(shared.appending("making").string, F_OK) == 0)
        try writer.borrowed.write(all: "over\n".utf8)
        #expect(try call("delete", "--force", "c1", program: program).status == 0)
    }
}
