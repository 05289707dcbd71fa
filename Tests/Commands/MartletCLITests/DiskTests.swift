// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

/// Disks of a running Linux.
@Suite(
    .serialized,
    .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
    .enabled(if: GuestImages.isExpected, "\(GuestImages.reason)")
)
struct DiskTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    @Test func `16 disks of all kinds and the entropy device work side by side`() throws {
        let small = try (0..<11).map { try folder.makeSparseFile("small\($0)", byteCount: 1 << 20) }
        let readOnly = try folder.write([UInt8](repeating: UInt8(ascii: "r"), count: 8192), to: "read-only")
        let data = try folder.makeSparseFile("data", byteCount: 8 << 20)
        let large = try folder.makeSparseFile("large", byteCount: 2 << 40)
        let direct = try folder.makeSparseFile("direct", byteCount: 4 << 20)
        let disks = ["default", "\(readOnly),readonly,id=DATA", data, large, "\(direct),direct,queues=2"] + small
        let options = disks.flatMap { ["--disk", $0] }
        try LinuxShell.boot(options) { shell in
            #expect(try shell.run("ls -d /sys/block/vd? | wc -l") == "16")
            #expect(try shell.run("cat /sys/class/misc/hw_random/rng_current").hasPrefix("virtio_rng"))
            #expect(try shell.run("cat /sys/block/vdb/ro") == "1")
            #expect(try shell.run("cat /sys/block/vdb/serial") == "DATA")
            #expect(try shell.run("head -c 3 /dev/vdb; echo") == "rrr")
            #expect(try shell.run("cat /sys/block/vdd/size") == "\((2 << 40) / 512)")
            #expect(try shell.run("head -c 1000000 /dev/vdp | wc -c") == "1000000")
            // Short, because the shell breaks the lines that it echoes.
            _ = try shell.run("w(){ dd of=/dev/$1 bs=$2 seek=$3 conv=fsync status=none;echo $?;}")
            #expect(try shell.run("echo hello | w vdc 512 0") == "0")
            #expect(try folder.read("data").prefix(6) == Array("hello\n".utf8)[...])
            #expect(try shell.run("echo end | w vdd 512 4294967295") == "0")
            #expect(try shell.run("echo x | w vde 512 1") == "0")
            #expect(try folder.read("direct")[512..<514] == Array("x\n".utf8)[...])
            #expect(try shell.run("echo x | w vdb 512 0") != "0")

            // A disk that grows while it is in use.
            _ = try shell.run("while :; do echo y | w vdf 512 0; done >/dev/null &")
            try #require(unsafe truncate(small[0], 3 << 20) == 0)
            try shell.press("\u{1}r")
            try shell.martlet.messages.read(until: "new size: \(small[0])", within: LinuxShell.patience)
            #expect(try shell.run("until grep 6144 /sys/block/vdf/size; do usleep 9999; done") == "6144")
            _ = try shell.run("kill %1")
            _ = try shell.run("echo z | w vdf 512 6143")
            #expect(try folder.read("small0")[(3 << 20) - 512] == UInt8(ascii: "z"))
            try shell.powerOff()
        }
        var status = stat()
        try #require(unsafe stat(large, &status) == 0)
        #expect(status.st_size == 2 << 40)
        #expect(status.st_blocks * 512 < 1 << 20)
    }

    @Test func `what is kept of the default guest's disk is there the next time, and is clean`() throws {
        let shipped = try FileContents.read(GuestImages.path("root.ext4"), limit: 1 << 20)
        let kept = "\(folder.path)/kept"
        try LinuxShell.boot("--keep", kept) { shell in
            #expect(try shell.run("echo something > /root/note; echo $?") == "0")
            try shell.powerOff()
        }
        let check = try ChildProcess("/sbin/e2fsck", ["-f", "-n", kept], descriptors: [.null, .null, .null]).wait()
        #expect(check == .exited(0))
        try LinuxShell.boot("--keep", kept) { shell in
            #expect(try shell.run("cat /root/note") == "something")
            try shell.press("\u{1}x")
            #expect(try shell.martlet.end(within: LinuxShell.patience).termination == .exited(0))
        }
        #expect(try FileContents.read(GuestImages.path("root.ext4"), limit: 1 << 20) == shipped)
    }
}
