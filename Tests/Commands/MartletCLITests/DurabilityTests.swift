// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

/// Tests that flushed data survives the end of martlet, whenever that comes.
@Suite(
    .serialized,
    .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
    .enabled(if: GuestImages.isExpected, "\(GuestImages.reason)")
)
struct DurabilityTests {
    private static let seed: UInt64 = 7
    private let folder: TemporaryFolder
    private let disk: String

    init() throws {
        folder = try TemporaryFolder()
        disk = try folder.makeSparseFile("disk", byteCount: 32 << 20)
    }

    /// Boots with the disk, starts `command` and kills martlet in the middle of it.
    ///
    /// - Returns: The number of records that the guest has said to be durable.
    private func killDuring(_ command: String, engine: String, after batches: Int) throws -> UInt64 {
        let root = try GuestImages.path("testing.ext4")
        var durable: UInt64 = 0
        try Martlet(
            [
                "run", "--disk", "\(root),readonly", "--disk", "\(disk),engine=\(engine)", "--cmdline",
                "martlet.run=\"\(command)\"",
                GuestImages.path("vmlinux"),
            ]
        ).run { martlet in
            var seen = ""
            for _ in 0..<batches {
                seen += try martlet.output.read(until: "durable ", within: LinuxShell.patience)
                seen += try martlet.output.read(until: "\n", within: LinuxShell.patience)
            }
            martlet.process.send(SIGKILL)
            #expect(try martlet.process.wait() == .signaled(SIGKILL))
            // What it had written before is in the pipe.
            seen += String(decoding: try martlet.output.readToEnd(), as: UTF8.self)
            let whole = seen.lastIndex(where: \.isNewline).map { String(seen[..<$0]) } ?? ""
            durable = try #require(DiskRecords.lastDurable(in: whole))
        }
        return durable
    }

    private func tool(_ path: String, _ arguments: [String]) throws -> ChildProcess.Termination {
        try ChildProcess(path, arguments, descriptors: [.null, .null, .null]).wait()
    }

    @Test(arguments: [("io_uring", 3), ("threads", 7), ("io_uring", 12)])
    func `records that the guest has flushed are on the disk after a kill`(engine: String, batches: Int) throws {
        let durable = try killDuring("disktool raw /dev/vdb 7", engine: engine, after: batches)
        #expect(durable >= UInt64(batches))
        let bytes = try folder.read("disk")
        for index in 0..<durable {
            let start = Int(index) * DiskRecords.byteCount
            let record = bytes[start..<start + DiskRecords.byteCount]
            #expect(DiskRecords.isIntact(record, seed: Self.seed, index: index), "record \(index) of \(durable)")
        }
    }

    @Test(arguments: [("io_uring", 2), ("threads", 5)])
    func `files that the guest has flushed are in a sound file system after a kill`(engine: String, batches: Int) throws
    {
        #expect(
            try tool("/sbin/mke2fs", ["-q", "-t", "ext4", "-O", "^metadata_csum,^64bit", "-J", "size=4", disk])
                == .exited(0)
        )
        let command = "mount -t ext4 /dev/vdb /mnt && disktool files /mnt 7"
        let durable = try killDuring(command, engine: engine, after: batches)
        // The journal is replayed; then nothing is wrong.
        let repair = try tool("/sbin/e2fsck", ["-p", disk])
        #expect([.exited(0), .exited(1)].contains(repair), "\(repair)")
        #expect(try tool("/sbin/e2fsck", ["-f", "-n", disk]) == .exited(0))
        for index in 0..<durable {
            let digits = String(index)
            let name = String(repeating: "0", count: 8 - digits.count) + digits
            #expect(try tool("/sbin/debugfs", ["-R", "dump /\(name) \(folder.path)/record", disk]) == .exited(0))
            let record = try folder.read("record")
            #expect(DiskRecords.isIntact(record[...], seed: Self.seed, index: index), "file \(name) of \(durable)")
        }
    }
}
