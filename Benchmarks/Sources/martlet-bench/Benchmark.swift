// SPDX-License-Identifier: Apache-2.0

/// Something to measure.
protocol Benchmark: SendableMetatype {
    /// How it is called on the command line.
    static var name: String { get }
    /// One line of help.
    static var summary: String { get }

    static func run(_ context: BenchmarkContext) throws -> Report
}

/// Every benchmark, in the order in which they run.
let allBenchmarks: [any Benchmark.Type] = [
    ProcessStart.self, MachineStart.self, ExitCost.self, SerialThroughput.self, KernelUnpacking.self, BootTime.self,
    MemoryFootprint.self, DiskThroughput.self, KickLatency.self, NetworkCost.self,
]
