// SPDX-License-Identifier: Apache-2.0

/// The space that each environment needs on the host's disk.
struct DiskSize {
    let context: MeasurementContext

    func section() throws(ComparisonError) -> Section {
        var parts: [String] = []
        let rows = try context.rows([
            .init(title: "of its own, for each instance", unit: .bytes),
            .init(title: "shared by all instances", unit: .bytes),
        ]) { environment throws(ComparisonError) in
            let shared = environment.sharedFiles.map { ($0.name, Files.allocatedByteCount($0.path)) }
            parts += shared.map { "\($0.0) \(Unit.bytes.text($0.1))" }
            return [
                .samples([environment.ownFiles.reduce(0) { $0 + Files.allocatedByteCount($1.path) }]),
                shared.isEmpty ? .text("nothing") : .samples([shared.reduce(0) { $0 + $1.1 }]),
            ]
        }
        var section = Section(
            topic: .size,
            explanation: """
                Blocks allocated on the disk, holes not counted. The user space is the same in all: one static program and \
                empty folders, so the difference is what each way of running it needs besides.
                """,
            rows: rows
        )
        if !parts.isEmpty { section.rows[1].note = parts.joined(separator: ", ") + "." }
        return section
    }
}
