// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import SystemPackage
import TestSupport
import Testing

/// Tests of a container's mounts in its machine.
extension RuntimeTests {
    @Test func `files are copied into the machine; a folder to write to is refused`() throws {
        // Nobody may read it but its owner, who is not the machine's process.
        try folder.write("nameserver", "bundle/resolv.conf", mode: 0o400)
        if geteuid() == 0 {
            #expect(unsafe chown("\(folder.path)/bundle/resolv.conf", 5, 6) == 0)
            #expect(unsafe chown("\(folder.path)/bundle/rootfs/bin/text", 5, 6) == 0)
        }
        func mount(_ source: String, _ options: JSONValue) -> JSONValue {
            [
                "destination": "/etc/x", "type": "bind", "source": .string("\(folder.path)/\(source)"),
                "options": options,
            ]
        }
        try configuration {
            $0.with("mounts", [mount("bundle/resolv.conf", ["rbind", "ro"]), mount("bundle/rootfs", ["ro"])])
        }
        #expect(try create().status == 0)
        let bundle = try self.bundle()
        for (name, text) in [("0", "nameserver"), ("1", "program")] {
            let copy = bundle.appending("c/files/\(name)")
            let bytes = try FileContents.bytes(of: copy, limit: 1 << 16)
            #expect(String(decoding: bytes, as: UTF8.self).contains(text))
            var status = stat()
            #expect(
                unsafe stat(copy.string, &status) == 0 && status.st_uid == geteuid() && status.st_mode & 0o777 == 0o600
            )
        }
        #expect(try call("delete", "c1").status == 0)
        try configuration { $0.with("mounts", [mount("bundle/rootfs", ["rbind", "rw"])]) }
        let refused = try create()
        #expect(refused.status == 1 && refused.text.contains("mount it read-only"))
    }

    @Test func `the guest's shared memory is as large as the engine's`() throws {
        var status = statvfs()
        #expect(unsafe statvfs("/dev/shm", &status) == 0)
        let shared: JSONValue = ["destination": "/dev/shm", "type": "bind", "source": "/dev/shm", "options": ["bind"]]
        try configuration { $0.with("mounts", [shared]) }
        #expect(try create().status == 0)
        let bundle = try self.bundle()
        let inner = try JSONValue(parsing: FileContents.bytes(of: bundle.appending("c/container.json"), limit: 1 << 20))
        let options = inner["config"]["mounts"].elements.first?["options"].elements.compactMap(\.string) ?? []
        #expect(options.contains("size=\(UInt64(status.f_blocks) * UInt64(status.f_frsize) / 1024)k"))
        #expect(try call("delete", "--force", "c1").status == 0)
    }
}
