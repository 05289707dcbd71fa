// SPDX-License-Identifier: Apache-2.0

/// A program to run, with its arguments.
struct Command {
    /// Where its standard output goes.
    enum Output {
        /// Nowhere, at no cost.
        case discarded
        /// To this process, which can wait for it.
        case piped
    }

    let path: String
    let arguments: [String]
    var output = Output.discarded

    init(_ path: String, _ arguments: [String] = [], output: Output = .discarded) {
        self.path = path
        self.arguments = arguments
        self.output = output
    }

    /// Runs the program to its end.
    ///
    /// - Throws: When it cannot be started, or ends in another way than with `status`.
    func run(expecting status: CInt = 0) throws -> ProcessUsage {
        let usage = try ChildProcess(self).waitForEnd()
        guard usage.status == status else {
            throw BenchmarkError("\(description) ended with status \(usage.status) instead of \(status)")
        }
        return usage
    }
}

extension Command: CustomStringConvertible {
    var description: String {
        ([path] + arguments).map { $0.contains(" ") ? "'\($0)'" : $0 }.joined(separator: " ")
    }
}
