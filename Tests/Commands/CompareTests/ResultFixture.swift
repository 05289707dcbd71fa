// SPDX-License-Identifier: Apache-2.0

@testable import Compare

/// Results as a comparison could have found them, without running anything.
enum ResultFixture {
    static func result(interprets: Bool = false, containerProblem: String? = nil) -> ComparisonResult {
        let host = HostDescription(
            martletVersion: "1.2.3",
            interpretsGuestKernels: interprets,
            workFolderIsInMemory: false
        )
        let columns: [ComparisonResult.Column] = [
            .init(kind: .process, provider: "the kernel", problem: nil),
            .init(kind: .container, provider: containerProblem == nil ? "crun 1" : "", problem: containerProblem),
            .init(kind: .machine, provider: "martlet <1>", problem: nil),
            .init(kind: .restored, provider: "martlet <1>, restored", problem: nil),
        ]
        var result = ComparisonResult(host: host, columns: columns, workload: nil, repetitions: 3)
        result.sections = [startup(interprets), density, isolation]
        return result
    }

    static func startup(_ interprets: Bool) -> Section {
        var machine = Cell.samples([0.2, 0.3, 0.25])
        machine.isDistorted = interprets
        let row = Row(
            title: "to the first output",
            unit: .seconds,
            cells: [
                .process: .samples([0.001, 0.001, 0.002]), .container: .samples([0.02]), .machine: machine,
                .restored: .samples([0.01]),
            ]
        )
        let steps = [
            Section.Step(name: "monitor", seconds: Samples([0.05]), explanation: "starts", isDistorted: false),
            Section.Step(name: "kernel", seconds: Samples([0.2]), explanation: "boots", isDistorted: interprets),
        ]
        return Section(topic: .startup, explanation: "How <long> it takes.", rows: [row], timeline: steps)
    }

    static var density: Section {
        let loads = [Section.Load(instances: 1, byteCount: 3e7), .init(instances: 10, byteCount: 2.1e8)]
        let growth = Section.Growth(kind: .machine, loads: loads, byteCountPerInstance: 2e7, limit: 1000)
        return Section(topic: .density, explanation: "Many.", growth: [growth])
    }

    static var isolation: Section {
        let row = Row(
            title: "read the kernel's log",
            cells: [
                .process: .attempt(.reachedHost, "yes"), .container: .attempt(.contained, "refused (EPERM)"),
                .machine: .attempt(.contained, "its own"),
            ]
        )
        return Section(topic: .isolation, explanation: "Attempts.", rows: [row])
    }
}
