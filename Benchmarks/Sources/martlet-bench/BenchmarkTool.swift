// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The command `martlet-bench`.
@main
enum BenchmarkTool {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard !arguments.contains("--help") else { return print(Options.help) }
        do {
            let options = try Options(arguments)
            exit(try run(options) ? EXIT_SUCCESS : EXIT_FAILURE)
        } catch {
            print("martlet-bench: \(error)")
            exit(64)
        }
    }

    /// - Returns: Whether everything could be measured and is within its limits.
    private static func run(_ options: Options) throws -> Bool {
        let context = BenchmarkContext(
            martlet: options.martlet,
            images: options.images,
            spike: options.spike,
            deviceModel: options.deviceModel,
            sampleCount: options.sampleCount,
            folder: try TemporaryFolder()
        )
        // For `martlet run` without a kernel.
        unsafe setenv("MARTLET_GUEST_IMAGES", options.images, 1)
        show(Host().text + "\n")
        var isGood = true
        for benchmark in options.benchmarks {
            let host = Host()
            do {
                let report = try benchmark.run(context)
                show(report.text)
                show(try report.json(on: host) + "\n")
                isGood = isGood && report.rows.allSatisfy(\.isWithinLimit)
            } catch {
                show("\(benchmark.name): \(error)\n")
                isGood = false
            }
        }
        return isGood
    }

    /// Prints at once, to a pipe as well: a run takes minutes.
    private static func show(_ text: String) {
        print(text)
        fflush(nil)
    }
}
