// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a benchmark needs to run: where the programs are, and how often to measure.
struct BenchmarkContext {
    let martlet: String
    /// Where guest-images/ puts what it builds.
    let images: String
    /// The executable built from host-kvm/spike.c, if there is one.
    let spike: String?
    /// The executable `martlet-device-bench`, if it was built.
    let deviceModel: String?
    let sampleCount: Int
    let folder: TemporaryFolder

    /// A program that is built together with this one.
    func sibling(_ name: String) throws -> String {
        let path = try linkTarget("/proc/self/exe")
        let sibling = path.prefix(through: path.lastIndex(of: "/") ?? path.startIndex) + name
        guard unsafe access(String(sibling), X_OK) == 0 else {
            throw BenchmarkError("\(sibling) is missing: run `swift build -c release --package-path Benchmarks`")
        }
        return String(sibling)
    }

    /// An image of the default guest.
    func image(_ name: String) throws -> String {
        let path = "\(images)/\(name)"
        guard unsafe access(path, R_OK) == 0 else {
            throw BenchmarkError("\(path) is missing: run `make guest-images`, or name the folder with --images")
        }
        return path
    }

    /// Whether `name` is a program on the path.
    func has(_ name: String) -> Bool {
        let folders = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ""
        return folders.split(separator: ":").contains { unsafe access("\($0)/\(name)", X_OK) == 0 }
    }

    /// `martlet run` of a guest of this tool, which ends by the exit-status port.
    func martletRun(_ image: String, console: String = "none", output: Command.Output = .discarded) -> Command {
        Command(martlet, ["run", image, "--exit-status-port", "--console", console], output: output)
    }

    /// Calls every measurement once in each round, so that what changes on the host meets all of them alike.
    ///
    /// A round before them is not counted: it fills the page cache.
    ///
    /// - Parameters:
    ///   - hasTrialRound: Whether there is that round; not worth its time where the page cache makes no difference.
    ///   - measurements: What to measure, and what to call it.
    /// - Returns: The values of each measurement, in the order of the rounds.
    /// - Throws: What a measurement throws.
    func interleave<Key: Hashable, Value>(
        hasTrialRound: Bool = true,
        _ measurements: [(key: Key, measure: () throws -> Value)]
    ) throws -> [Key: [Value]] {
        var values: [Key: [Value]] = [:]
        for round in (hasTrialRound ? 0 : 1)...sampleCount {
            for (key, measure) in measurements {
                let value = try measure()
                if round > 0 { values[key, default: []].append(value) }
            }
        }
        return values
    }
}
