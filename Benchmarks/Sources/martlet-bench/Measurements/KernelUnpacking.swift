// SPDX-License-Identifier: Apache-2.0

/// From a compressed bzImage to the entry point of the kernel in it, against the tool that unpacks the same payload.
///
/// Both are whole processes, from their start to their end.
enum KernelUnpacking: Benchmark {
    static let name = "unpack"
    static let summary = "bzImage to entry point, against gzip -dc, xz -dc, lz4 -dc, zstd -dc of the same payload"

    private enum Key: Hashable {
        case martlet, tool, emptyMachine
    }

    static func run(_ context: BenchmarkContext) throws -> Report {
        let kernel = try StoppedKernel(vmlinux: readBytes(context.image("vmlinux")))
        let plain = try context.folder.write(kernel.image, to: "stopped-vmlinux")
        let empty = context.martletRun(try context.folder.write(TinyELF.image(of: .end), to: "end.elf"))
        var report = Report(benchmark: name)
        for compression in StoppedKernel.Compression.allCases {
            let (tool, arguments) = compression.packing
            guard context.has(tool) else {
                report.notes.append("\(tool) is not installed")
                continue
            }
            let payload = try pack(plain, tool, arguments)
            let packed = try context.folder.write(payload, to: "payload.\(compression)")
            let bzImage = try context.folder.write(kernel.bzImage(payload: payload), to: "bzImage-\(compression)")
            let (boot, unpack) = (context.martletRun(bzImage), compression.unpacking(packed))
            let usages = try context.interleave([
                (Key.martlet, { try boot.run() }),
                (Key.tool, { try unpack.run() }),
                (Key.emptyMachine, { try empty.run() }),
            ])
            func seconds(_ key: Key) -> Samples { Samples(usages[key], \.wallSeconds) }
            func processor(_ key: Key) -> Samples { Samples(usages[key], \.processorSeconds) }
            let (martlet, reference) = (seconds(.martlet), seconds(.tool))
            let unpacking = martlet - seconds(.emptyMachine)
            let processorRatio = (processor(.martlet) - processor(.emptyMachine)) / processor(.tool)
            report.rows += [
                Row("\(compression): Martlet, whole run", .seconds, martlet),
                Row("\(compression): \(unpack.arguments.count > 2 ? "xz" : tool) -dc", .seconds, reference),
                Row("\(compression): whole run / tool", .ratio, martlet / reference),
                Row("\(compression): bzImage to entry point / tool", .ratio, unpacking / reference, atMost: 1.3),
                Row("\(compression): the same in processor time", .ratio, processorRatio),
            ]
        }
        report.notes.append("the kernel is \(kernel.image.count) bytes unpacked")
        return report
    }

    private static func pack(_ path: String, _ tool: String, _ arguments: [String]) throws -> [UInt8] {
        // The tools that can write to standard output do so with -c; all of these can.
        let child = try ChildProcess(Command(tool, arguments + ["-c", path], output: .piped))
        let usage = try child.waitForEnd()
        guard usage.status == 0 else { throw BenchmarkError("\(tool) ended with status \(usage.status)") }
        return child.takeOutput()
    }
}
