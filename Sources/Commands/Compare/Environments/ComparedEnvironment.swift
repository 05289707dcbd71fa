// SPDX-License-Identifier: Apache-2.0

/// A way to run a program.
protocol ComparedEnvironment: AnyObject {
    var kind: EnvironmentKind { get }
    /// The program that provides it, with its version.
    var provider: String { get }
    /// The space that it needs on disk, by name: of its own for each instance, and once for all.
    var ownFiles: [(name: String, path: String)] { get }
    var sharedFiles: [(name: String, path: String)] { get }

    /// Starts a job.
    ///
    /// - Returns: It, running; it ends with this value.
    func launch(_ job: Job) throws(ComparisonError) -> Instance
}

extension ComparedEnvironment {
    /// Runs a job to its end.
    @discardableResult
    func run(_ job: Job, within seconds: Double, see: (HostProcess.Line) -> Void) throws(ComparisonError) -> Instance {
        let instance = try launch(job)
        defer { instance.end() }
        while let line = try instance.readLine(within: seconds) { see(line) }
        try instance.waitForEnd(within: seconds)
        return instance
    }
}
