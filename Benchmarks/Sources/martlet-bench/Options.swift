// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The command line.
struct Options {
    var benchmarks: [any Benchmark.Type] = []
    var martlet = ".build/release/martlet"
    var images = unsafe getenv("MARTLET_GUEST_IMAGES").map { unsafe String(cString: $0) } ?? "guest-images/build"
    var spike: String?
    var deviceModel: String?
    var sampleCount = 5

    static var help: String {
        let names = allBenchmarks.map { benchmark in
            "  \(benchmark.name)" + String(repeating: " ", count: 10 - benchmark.name.count) + benchmark.summary
        }
        return """
            usage: martlet-bench [NAME ...] [--martlet PATH] [--images FOLDER] [--spike PATH] [--samples N]

            Measures a release build of Martlet from outside and prints, for each NAME or for all, a table and a line of
            JSON. Run it from the root of the repository, on a host that does nothing else.

            \(names.joined(separator: "\n"))

              --martlet PATH    the program to measure (.build/release/martlet)
              --images FOLDER   the default guest (MARTLET_GUEST_IMAGES, else guest-images/build)
              --spike PATH      the executable built from host-kvm/spike.c, for "boot"
              --devices PATH    the executable martlet-device-bench, for "disk", "kick" and "network"
              --samples N       rounds that count, each after the other for all that is compared (5)
            """
    }

    /// - Throws: What is wrong with `arguments`.
    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        func value(of option: String) throws -> String {
            guard let value = rest.popFirst() else { throw BenchmarkError("\(option) needs a value") }
            return value
        }
        while let argument = rest.popFirst() {
            switch argument {
            case "--martlet": martlet = try value(of: argument)
            case "--images": images = try value(of: argument)
            case "--spike": spike = try value(of: argument)
            case "--devices": deviceModel = try value(of: argument)
            case "--samples":
                guard let count = Int(try value(of: argument)), count > 0 else {
                    throw BenchmarkError("--samples needs a number of at least 1")
                }
                sampleCount = count
            default:
                guard let benchmark = allBenchmarks.first(where: { $0.name == argument }) else {
                    throw BenchmarkError("\(argument) is no benchmark and no option; --help shows both")
                }
                benchmarks.append(benchmark)
            }
        }
        if benchmarks.isEmpty { benchmarks = allBenchmarks }
    }
}
