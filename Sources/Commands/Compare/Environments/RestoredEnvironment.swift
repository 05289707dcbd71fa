// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Programs in machines that go on from snapshots: `martlet run --restore`.
///
/// Each job boots once, up to the moment before its program starts, and is saved there. The guest takes part in that
/// (docs/snapshots.md, "The guest's part"), so each machine takes its own random numbers first.
final class RestoredEnvironment: ComparedEnvironment {
    let kind = EnvironmentKind.restored
    let provider: String
    private let machine: MachineEnvironment
    /// The folders of snapshots, by the command that their machines wait to run.
    private var snapshots: [[String]: String] = [:]
    private var count = 0

    /// The name of a machine that is to be saved, among those of this comparison.
    private static let name = "point"

    init(of machine: MachineEnvironment) {
        provider = "martlet \(machine.version), from a snapshot taken before the program starts"
        self.machine = machine
    }

    var ownFiles: [(name: String, path: String)] { [] }
    var sharedFiles: [(name: String, path: String)] { [] }

    func launch(_ job: Job) throws(ComparisonError) -> Instance {
        let snapshot = try snapshot(job)
        count += 1
        let process = try machine.place.start(
            [machine.images.monitor, "run", "--escape", "none", "--restore", snapshot]
                + (job.isOneOfMany ? MachineEnvironment.visibility : []),
            messages: "restored\(count).log"
        )
        return Instance(kind: kind, process: process)
    }

    /// The snapshot of a machine that waits to run a job, which is made where there is none.
    private func snapshot(_ job: Job) throws(ComparisonError) -> String {
        let words = job.command(kind, programsIn: "/bin", dataFolder: "/data")
        if let snapshot = snapshots[words] { return snapshot }
        let name = "snapshot\(snapshots.count)"
        let snapshot = "\(machine.place.folder.path)/\(name)"
        let machines = "\(snapshot).machines"
        let file = "\(snapshot).json"
        let parameters = (machine.images.parameters + ["--", "--point"] + words).joined(separator: " ")
        let memory = job.limits.memoryByteCount ?? MachineEnvironment.memoryByteCount
        try machine.writeConfiguration(to: file, parameters, memoryByteCount: memory, hasSnapshotPoint: true)
        // Among machines of its own: the user's may have this name.
        let command = ["/usr/bin/env", "MARTLET_RUNTIME_DIR=\(machines)", machine.images.monitor]
        let booted = Instance(
            kind: .machine,
            process: try machine.place.start(
                command + ["run", "--escape", "none", "--name", Self.name, "--config", file],
                messages: "\(name).log"
            )
        )
        defer { booted.end() }
        try booted.expectLine("point", within: MeasurementContext.interpretedPatience)
        let save = try machine.place.start(
            command + ["snapshot", "save", Self.name, snapshot, "--stop"],
            messages: "\(name).save.log"
        )
        guard try save.waitForEnd(within: 120).status == 0 else {
            throw .unexpected("the machine was not saved: \(save.lastMessage ?? "nothing says why")")
        }
        try booted.waitForEnd(within: 120)
        snapshots[words] = snapshot
        return snapshot
    }
}
