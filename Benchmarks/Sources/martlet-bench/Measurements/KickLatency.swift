// SPDX-License-Identifier: Apache-2.0

/// From a kick to the interrupt through the block device's own thread, against the same two events with nothing between.
///
/// On one processor: where the scheduler puts the two threads decides by a factor of eight, otherwise.
enum KickLatency: Benchmark {
    static let name = "kick"
    static let summary = "queue kick to interrupt with a disk in memory, against an eventfd round trip"

    static func run(_ context: BenchmarkContext) throws -> Report {
        guard let device = context.deviceModel else {
            throw BenchmarkError("needs --devices PATH: see the Makefile's rule bench")
        }
        let command = Command("taskset", ["-c", "0", device, "kick", "20000"], output: .piped)
        var (kicks, events) = (Samples(), Samples())
        for _ in 0..<context.sampleCount {
            let child = try ChildProcess(command)
            guard try child.waitForEnd().status == 0 else { throw BenchmarkError("\(command) failed") }
            let numbers = String(decoding: child.takeOutput(), as: UTF8.self).split { $0.isWhitespace }.compactMap {
                Double($0)
            }
            guard numbers.count == 2 else { throw BenchmarkError("\(command) printed no two numbers") }
            kicks.append(numbers[0])
            events.append(numbers[1])
        }
        return Report(
            benchmark: name,
            rows: [
                Row("kick to interrupt", .seconds, kicks),
                Row("eventfd round trip", .seconds, events),
                Row("beyond the round trip", .seconds, kicks - events, atMost: 5e-6),
            ]
        )
    }
}
