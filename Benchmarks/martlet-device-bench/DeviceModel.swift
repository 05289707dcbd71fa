// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The command `martlet-device-bench`: drives device models in this process, with the tests' own driver and no guest.
///
/// Prints the numbers of one run, for `martlet-bench` to compare; see `DiskThroughput`, `KickLatency` and `NetworkCost` there.
@main
enum DeviceModel {
    static let help = """
        usage: martlet-device-bench disk FILE ENGINE DEPTH BLOCK read|write buffered|direct SECONDS
               martlet-device-bench kick COUNT
               martlet-device-bench frames tap-send|tap-receive|stream-send INTERFACE BYTES SECONDS
               martlet-device-bench vsock out|in BYTES
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
        case ("frames"?, 5):
            guard let workload = FrameWorkload(arguments.dropFirst()) else { fail() }
            let time = try workload.measure()
            print(time.device, time.bare)
        case ("vsock"?, 3):
            guard let workload = VsockWorkload(arguments.dropFirst()) else { fail() }
            let time = try workload.measure()
            print(time.device, time.socat, time.socatWithLargeBuffer)
        default: fail()
        }
    }

    private static func fail() -> Never {
        print(help)
        exit(64)
    }
}
