// SPDX-License-Identifier: Apache-2.0

/// One line of a table: the same thing in all environments.
struct Row: Sendable {
    var title: String
    var unit = Unit.count
    var cells: [EnvironmentKind: Cell]
    /// A note for readers of this row.
    var note: String?
    /// Indicates whether more is better, so that a ratio says "slower" the right way round.
    var largerIsBetter = false
    /// Indicates whether a multiple of the process's number means anything.
    var hasRatio = true

    /// The factor by which an environment takes more of it than the process does, or gets less.
    ///
    /// - Returns: 1 where it is the same, above 1 where it costs more.
    func ratio(_ kind: EnvironmentKind) -> Double? {
        guard hasRatio, let base = cells[.process]?.median, let value = cells[kind]?.median, base > 0, value > 0 else {
            return nil
        }
        return largerIsBetter ? base / value : value / base
    }
}
