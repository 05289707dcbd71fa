// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Host
import JSON
import MachineRegistry

/// `martlet ps`: which machines there are.
struct PsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps",
        abstract: "List running machines.",
        discussion: "A machine that does not answer within two seconds is shown as unreachable."
    )

    @Flag(name: .shortAndLong, help: "Include machines that have ended and were not removed.")
    var all = false

    @Flag(help: "A JSON array, for scripts.")
    var json = false

    @Flag(name: .shortAndLong, help: "Names only.")
    var quiet = false

    func run() throws {
        let runtime = try RuntimeFolder.ofThisUser()
        try runtime.sweep()
        let limit = TimeLimit.after(MachineSummary.patience)
        let machines = inParallel(try runtime.machines()) { MachineSummary(of: $0, until: limit) }
            .compactMap(\.self)
            .filter { all || $0.isThereStill }
        if json { return printAnswer(JSONValue.array(machines.map(\.json)).prettyText) }
        if quiet { return machines.forEach { printAnswer($0.name) } }
        var table = TextTable("NAME", "STATE", "VCPUS", "MEMORY", "UPTIME", "PID")
        for machine in machines {
            let state = machine.exitStatus.map { "\(machine.state) (\($0))" } ?? machine.state
            table.append(
                machine.name,
                state,
                machine.vcpuCount.map { "\($0)" } ?? "-",
                machine.memoryMiB.map { "\($0) MiB" } ?? "-",
                machine.uptime ?? "-",
                machine.processID.map { "\($0)" } ?? "-"
            )
        }
        printAnswer(table)
    }
}
