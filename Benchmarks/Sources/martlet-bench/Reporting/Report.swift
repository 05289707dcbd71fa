// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// What came out of one benchmark, for people and for programs.
struct Report {
    let benchmark: String
    var rows: [Row] = []
    /// What could not be measured, and why; what else a reader must know.
    var notes: [String] = []

    /// A table.
    var text: String {
        let table = rows.map { row in
            let (median, minimum, maximum) = (row.samples.median, row.samples.minimum, row.samples.maximum)
            return [row.subject, row.text(median), "\(row.text(minimum)) to \(row.text(maximum))", row.verdict]
        }
        let widths = (0..<4).map { column in table.map { $0[column].count }.max() ?? 0 }
        let lines = table.map { cells in
            let padded = zip(cells, widths).map { cell, width in
                cell + String(repeating: " ", count: width - cell.count)
            }
            return "  " + padded.joined(separator: "  ").trimmingSuffix(" ")
        }
        return ([benchmark] + lines + notes.map { "  note: \($0)" }).joined(separator: "\n")
    }

    /// One line.
    func json(on host: Host) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let line = Line(
            benchmark: benchmark,
            host: host,
            rows: rows.map {
                Line.Row(
                    subject: $0.subject,
                    unit: $0.unit.rawValue,
                    median: $0.samples.median,
                    samples: $0.samples.values,
                    limit: $0.limit
                )
            },
            notes: notes
        )
        return String(decoding: try encoder.encode(line), as: UTF8.self)
    }

    private struct Line: Encodable {
        struct Row: Encodable {
            let subject: String
            let unit: String
            let median: Double
            let samples: [Double]
            let limit: Double?
        }

        let benchmark: String
        let host: Host
        let rows: [Row]
        let notes: [String]
    }
}

extension String {
    fileprivate func trimmingSuffix(_ character: Character) -> String {
        var text = self
        while text.last == character { text.removeLast() }
        return text
    }
}
