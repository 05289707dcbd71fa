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

    @Test func `the root file system may be a partition, named by its identifier`() throws {
        let root = try GuestImages.path("root.ext4")
        var status = stat()
        try #require(unsafe stat(root, &status) == 0)
        // A table of one partition of Linux from 1 MiB on, on the disk 0badcafe.
        let start: [UInt8] = [0, 8, 0, 0]
        let sectorCount = status.st_size / 512
        let size = (0..<4).map { UInt8(truncatingIfNeeded: sectorCount >> (8 * $0)) }
        let entry: [UInt8] = [0, 0, 0, 0, 0x83, 0, 0, 0] + start + size
        let signature: [UInt8] = [0xfe, 0xca, 0xad, 0x0b, 0, 0]
        let empty = { [UInt8](repeating: 0, count: $0) }
        let disk = try folder.write(empty(440) + signature + entry + empty(48) + [0x55, 0xaa], to: "disk")
        let words = ["if=\(root)", "of=\(disk)", "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none"]
        let copy = try ChildProcess("/bin/dd", words, descriptors: [.null, .null, .copy(2)]).wait()
        try #require(copy == .exited(0))
        let configuration = """
            {"boot-source": {"kernel_image_path": "\(try GuestImages.path("vmlinux"))", "boot_args": "quiet i8042.noaux"},
             "drives": [{"drive_id": "root", "path_on_host": "\(disk)", "is_root_device": true, "partuuid": "0badcafe-01"}]}
            """
        let file = try folder.write(Array(configuration.utf8), to: "machine.json")
        try LinuxShell.boot("--config", file) { shell in
            #expect(try shell.run("grep -c \"$(cat /sys/block/vda/vda1/dev) / / \" /proc/self/mountinfo") == "1")
            try shell.powerOff()
        }
    }
}
