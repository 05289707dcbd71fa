// SPDX-License-Identifier: Apache-2.0

/// An error in a JSON text, or in the value that was wanted from it, in words.
package enum JSONError: Error, Hashable, CustomStringConvertible {
    /// The text is no JSON, or none that we take; lines and columns count from 1.
    case syntax(line: Int, column: Int, reason: String)
    /// An object has a name twice, be it in two Unicode forms of the same characters.
    case duplicateName(String)
    /// A value, by its path, that a type does not take: `drives[0].rate_limiter.bandwidth.size` and its fault.
    case invalid(path: String, problem: String)

    /// Finds the line and the column of a byte, which count from 1.
    package static func place(of index: Int, in text: [UInt8]) -> (line: Int, column: Int) {
        let before = text[..<index]
        let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return (before.count { $0 == UInt8(ascii: "\n") } + 1, index - start + 1)
    }

    package var description: String {
        switch self {
        case .syntax(let line, let column, let reason):
            "invalid JSON at line \(line), column \(column): \(reason)"
        case .duplicateName(let name):
            "invalid JSON: the name '\(name)' is there twice"
        case .invalid(let path, let problem):
            path.isEmpty ? problem : "\(path): \(problem)"
        }
    }
}
