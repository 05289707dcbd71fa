// SPDX-License-Identifier: Apache-2.0

/// The results of one comparison.
package struct ComparisonResult: Sendable {
    /// An environment as it was found here.
    struct Column: Sendable {
        let kind: EnvironmentKind
        /// The program that provides it, with its version; empty where there is none.
        let provider: String
        /// The reason why there is none.
        let problem: String?
    }

    let host: HostDescription
    let columns: [Column]
    /// The user's program, if one was compared.
    let workload: String?
    let repetitions: Int
    var sections: [Section] = []

    /// The warning before any number: the ways in which this host differs from others.
    var warnings: [String] {
        var warnings: [String] = []
        if host.interpretsGuestKernels {
            warnings.append(
                """
                This host has no VT-x or AMD-V: its KVM runs the guest's programs natively but interprets the guest's kernel, \
                100 to 1000 times slower than a processor runs it. Numbers marked \(Cell.distortionMark) say more about \
                that than about virtual machines; on a host with VT-x or AMD-V they are other numbers.
                """
            )
        }
        if host.isBusy {
            warnings.append(
                """
                The host was busy when this began (load \(Unit.digits(host.load, places: 1)), \(host.processorCount) processors): \
                times are longer than they would be alone, and spread wider.
                """
            )
        }
        if host.workFolderIsInMemory {
            warnings.append(
                "The folder for data is in memory: a sync reaches no disk here. TMPDIR names another folder."
            )
        }
        for column in columns {
            if let problem = column.problem { warnings.append("No \(column.kind.name): \(problem).") }
        }
        return warnings
    }

    /// The columns of a section's table: all but those of which it has no cell.
    func kinds(of section: Section) -> [EnvironmentKind] {
        columns.map(\.kind).filter { kind in section.rows.contains { $0.cells[kind] != nil } }
    }

    func section(_ topic: Topic) -> Section? {
        sections.first { $0.topic == topic }
    }
}
