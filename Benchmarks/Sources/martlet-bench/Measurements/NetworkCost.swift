// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The network and vsock devices, driven in their own process, against bare system calls in C and against socat; and the memory
/// that both take of a machine's process.
///
/// In a network namespace of its own, with a TAP that is gone with it.
enum NetworkCost: Benchmark {
    static let name = "network"
    static let summary = "frames through the network device against bare calls, vsock against socat, memory of both"

    private struct Frames {
        let kind: String
        let byteCount: Int
        let limit: Double

        var text: String { "\(kind) \(byteCount) B" }
    }

    private static let frames = [
        Frames(kind: "tap-send", byteCount: 60, limit: 1.6), Frames(kind: "tap-send", byteCount: 1514, limit: 1.6),
        Frames(kind: "tap-send", byteCount: 65_214, limit: 1.15),
        Frames(kind: "tap-receive", byteCount: 60, limit: 1.4),
        Frames(kind: "tap-receive", byteCount: 1514, limit: 1.4),
        Frames(kind: "stream-send", byteCount: 60, limit: 1.4),
        Frames(kind: "stream-send", byteCount: 1514, limit: 1.3),
        Frames(kind: "stream-send", byteCount: 65_534, limit: 1.1),
    ]
    private static let relayedByteCount = 1 << 30

    static func run(_ context: BenchmarkContext) throws -> Report {
        guard let device = context.deviceModel else {
            throw BenchmarkError("needs --devices PATH: see the Makefile's rule bench")
        }
        guard context.has("socat") else { throw BenchmarkError("needs socat: apt-get install socat") }
        var report = Report(benchmark: name)
        for frames in frames {
            let command = withTAP([device, "frames", frames.kind, "tap0", "\(frames.byteCount)", "1"])
            let times = try (0..<context.sampleCount).map { _ in try numbers(of: command, count: 2) }
            let (own, bare) = (Samples(times) { $0[0] }, Samples(times) { $0[1] })
            report.rows += [
                Row("\(frames.text), processor time", .seconds, own),
                Row("  bare calls", .seconds, bare),
                Row("  Martlet / bare", .ratio, own / bare, atMost: frames.limit),
            ]
        }
        for direction in ["out", "in"] {
            let command = Command(device, ["vsock", direction, "\(relayedByteCount)"], output: .piped)
            let times = try (0..<context.sampleCount).map { _ in try numbers(of: command, count: 3) }
            let own = Samples(times) { $0[0] }
            let (socat, large) = (Samples(times) { $0[1] }, Samples(times) { $0[2] })
            report.rows += [
                Row("vsock \(direction), 1 GiB", .seconds, own),
                Row("  socat", .seconds, socat),
                Row("  Martlet / socat", .ratio, own / socat, atMost: 1.1),
                Row("  Martlet / socat with a buffer of 64 KiB", .ratio, own / large),
            ]
        }
        try addMemory(to: &report, context)
        return report
    }

    // MARK: - Memory

    private static func addMemory(to report: inout Report, _ context: BenchmarkContext) throws {
        let devices = """
            , "network-interfaces": [{"iface_id": "eth0", "host_dev_name": "tap0"}],
            "vsock": {"guest_cid": 3, "uds_path": "\(context.folder.reserve("v.sock"))"}
            """
        let without = try file("without.json", "", context)
        let with = try file("with.json", devices, context)
        var (own, all) = (Samples(), Samples())
        for _ in 0..<min(context.sampleCount, 3) {
            let (first, second) = (try memory(without, context), try memory(with, context))
            own.append(second.privateByteCount - first.privateByteCount)
            all.append(second.byteCount - first.byteCount)
        }
        report.rows += [
            Row("memory of network and vsock, resident", .bytes, all, atMost: Double(1 << 19)),
            Row("  of that, what each machine has of its own", .bytes, own),
        ]
    }

    private static func file(_ name: String, _ devices: String, _ context: BenchmarkContext) throws -> String {
        let text = """
            {"boot-source": {"kernel_image_path": "\(try context.image("vmlinux"))",
             "initrd_path": "\(try context.image("initramfs.cpio"))", "boot_args": "quiet rodata=off"},
             "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}\(devices)}
            """
        return try context.folder.write(Array(text.utf8), to: name)
    }

    private static func memory(_ file: String, _ context: BenchmarkContext) throws -> ResidentMemory {
        let socket = context.folder.reserve("network.sock")
        let child = try ChildProcess(withTAP([context.martlet, "run", "--config", file, "--api-socket", socket]))
        try child.waitForOutput("martlet:~# ")
        // The process gives back what its start has touched.
        sleep(20)
        return try ResidentMemory(process: child.identifier)
    }

    // MARK: - Programs

    /// A program in a network namespace with an interface `tap0`.
    private static func withTAP(_ words: [String]) -> Command {
        let script = "ip tuntap add tap0 mode tap && ip link set tap0 up && exec \"$@\""
        let namespace = geteuid() == 0 ? "-n" : "-rn"
        return Command("unshare", [namespace, "sh", "-c", script, "sh"] + words, output: .piped)
    }

    /// The numbers that `command` prints.
    private static func numbers(of command: Command, count: Int) throws -> [Double] {
        let child = try ChildProcess(command)
        guard try child.waitForEnd().status == 0 else { throw BenchmarkError("\(command) failed") }
        let words = String(decoding: child.takeOutput(), as: UTF8.self).split { $0.isWhitespace }
        let numbers = words.compactMap { Double($0) }
        guard numbers.count == count else { throw BenchmarkError("\(command) printed no \(count) numbers") }
        return numbers
    }
}
