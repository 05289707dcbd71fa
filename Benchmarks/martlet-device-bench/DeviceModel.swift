// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The command `martlet-device-bench`: drives device models in this process, with the tests' own driver and no guest.
///
/// Prints one number for each run, for `martlet-bench` to compare; see `DiskThroughput` and `KickLatency` there.
@main
enum DeviceModel {
    static let help = """
        usage: martlet-device-bench disk FILE ENGINE DEPTH BLOCK read|write buffered|direct SECONDS
               martlet-device-bench kick COUNT
        """

    static func main() throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        switch (arguments.first, arguments.count) {
        case ("disk"?, 8):
            guard let workload = DiskWorkload(arguments.dropFirst()) else { fail() }
            print(try workload.operationsPerSecond())
        case ("kick"?, 2):
            guard let count = Int(arguments[1]), count > 0 else { fail() }
            let latency = try KickLatency.measure(count: count)
            print(latency.device, latency.event)
        default: fail()
        }
    }

    private static func fail() -> Never {
        print(help)
        exit(64)
    }
}
