// SPDX-License-Identifier: Apache-2.0

/// Rows of words under headings, each column as wide as its widest word.
struct TextTable: CustomStringConvertible {
    private var rows: [[String]]

    init(_ headings: [String]) {
        rows = [headings]
    }

    init(_ headings: String...) {
        self.init(headings)
    }

    mutating func append(_ row: [String]) {
        rows.append(row)
    }

    mutating func append(_ row: String...) {
        rows.append(row)
    }

    var description: String {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line
        }
        .joined(separator: "\n")
    }
}
