// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

/// Many machines at once, and none of them left alone.
@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct StressTests {
    /// The amount of work: little, unless the environment asks for more.
    private static func number(_ variable: String, else number: Int) -> Int {
        unsafe getenv(variable).flatMap { unsafe Int(String(cString: $0)) } ?? number
    }

    @Test func `machines that are used at random while others are killed leave nothing, and no command hangs`() throws {
        let runtime = try TemporaryFolder()
        unsafe chmod(runtime.path, 0o700)
        let count = Self.number("MARTLET_STRESS_MACHINES", else: 10)
        let seconds = Self.number("MARTLET_STRESS_SECONDS", else: 5)
        let seed = Self.number("MARTLET_STRESS_SEED", else: 1)
        let stress = MachineStress(runtime: runtime.path, machineCount: count)
        defer { stress.clear() }
        stress.run(for: .seconds(seconds), seed: UInt64(truncatingIfNeeded: seed))
        let left = try stress.removeAll()
        #expect(stress.problems == [])
        #expect(left == [])
        #expect(try runtime.names() == [])
        #expect(stress.monitors().isEmpty)
        if unsafe getenv("MARTLET_STRESS_MACHINES") != nil { print(stress.report) }
    }
}
