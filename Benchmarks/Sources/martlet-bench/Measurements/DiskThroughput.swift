// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The block device with its engine, driven in its own process, against fio with the same engine on the same file.
enum DiskThroughput: Benchmark {
    static let name = "disk"
    static let summary = "random reads and writes through the block device, against fio on the same file"

    private static let fileByteCount = 1 << 30
    private static let seconds = 1

    private struct Workload: Hashable {
        let engine: String
        let depth: Int
        let block: Int
        let access: String
        let mode: String

        var text: String { "\(engine) \(mode) \(access) \(block >> 10)K depth \(depth)" }

        /// What fio calls the engine; several threads stand for a depth that plain calls do not have.
        func fio(_ path: String) -> [String] {
            let isRing = engine == "io_uring"
            return [
                "--minimal", "--name=martlet", "--filename=\(path)", "--rw=rand\(access)", "--bs=\(block)",
                "--ioengine=\(isRing ? "io_uring" : "pvsync2")", "--iodepth=\(isRing ? depth : 1)", "--thread",
                "--numjobs=\(isRing ? 1 : depth)", "--group_reporting", "--direct=\(mode == "direct" ? 1 : 0)",
                "--time_based", "--runtime=\(seconds)", "--invalidate=0", "--norandommap", "--gtod_reduce=1",
            ]
        }
    }

    private enum Key: Hashable {
        case martlet, fio
    }

    static func run(_ context: BenchmarkContext) throws -> Report {
        guard let device = context.deviceModel else {
            throw BenchmarkError("needs --devices PATH: see the Makefile's rule bench")
        }
        guard context.has("fio") else { throw BenchmarkError("needs fio: apt-get install fio") }
        let path = try makeFile(in: context.folder)
        var report = Report(benchmark: name)
        for mode in ["buffered", "direct"] {
            for access in ["read", "write"] {
                for block in [4096, 131072] {
                    for depth in [1, 32] {
                        for engine in ["io_uring", "threads"] {
                            let workload = Workload(
                                engine: engine,
                                depth: depth,
                                block: block,
                                access: access,
                                mode: mode
                            )
                            report.rows += try measure(workload, path, device, context)
                        }
                    }
                }
            }
        }
        return report
    }

    private static func measure(
        _ workload: Workload,
        _ path: String,
        _ device: String,
        _ context: BenchmarkContext
    ) throws -> [Row] {
        let model = Command(
            device,
            [
                "disk", path, workload.engine, "\(workload.depth)", "\(workload.block)", workload.access, workload.mode,
                "\(seconds)",
            ],
            output: .piped
        )
        let fio = Command("fio", workload.fio(path), output: .piped)
        let field = workload.access == "read" ? 7 : 48
        let values = try context.interleave(
            hasTrialRound: false,
            [
                (
                    Key.martlet,
                    {
                        try writeBack(path)
                        return try number(model) { $0 }
                    }
                ),
                (
                    Key.fio,
                    {
                        try writeBack(path)
                        return try number(fio) { $0.split(separator: ";", omittingEmptySubsequences: false)[field] }
                    }
                ),
            ]
        )
        let martlet = Samples(values[.martlet] ?? [])
        let reference = Samples(values[.fio] ?? [])
        return [
            Row("\(workload.text)", .perSecond, martlet),
            Row("  the same, fio", .perSecond, reference),
            Row("  time for each, Martlet / fio", .ratio, reference / martlet, atMost: 1 / 0.9),
        ]
    }

    /// Waits until what one of them wrote is on the disk, so that the other one does not pay for it.
    private static func writeBack(_ path: String) throws {
        let file = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { throw BenchmarkError(errno: errno, of: path) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw BenchmarkError(errno: errno, of: path) }
    }

    /// The number in the first line that `command` prints.
    private static func number(_ command: Command, _ field: (Substring) -> Substring) throws -> Double {
        let child = try ChildProcess(command)
        guard try child.waitForEnd().status == 0 else { throw BenchmarkError("\(command) failed") }
        let text = String(decoding: child.takeOutput(), as: UTF8.self)
        guard let line = text.split(separator: "\n").last, let number = Double(field(line)) else {
            throw BenchmarkError("\(command) printed no number")
        }
        return number
    }

    /// Random bytes, so that nothing is a hole.
    private static func makeFile(in folder: TemporaryFolder) throws -> String {
        let path = try folder.write([], to: "disk")
        _ = try Command(
            "dd",
            ["if=/dev/urandom", "of=\(path)", "bs=1M", "count=\(fileByteCount >> 20)", "status=none"]
        ).run()
        return path
    }
}
