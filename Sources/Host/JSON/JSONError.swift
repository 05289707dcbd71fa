// SPDX-License-Identifier: Apache-2.0

/// What is wrong with a JSON text, or with the value that was wanted from it, in words.
package enum JSONError: Error, Hashable, CustomStringConvertible {
    /// The text is no JSON, or none that we take; lines and columns count from 1.
    case syntax(line: Int, column: Int, reason: String)
    /// An object has a name twice, in two Unicode forms of the same characters.
    case duplicateName(String)
    /// What should be an object is none.
    case notAnObject(String)
    /// A field of an object that has to be there is not.
    case missingField(String, of: String)
    /// Fields that nobody knows.
    case unknownFields([String], of: String)
    /// A value, by its path, that a type does not take: `drives[0].rate_limiter.bandwidth.size` and what is wrong with it.
    case invalid(path: String, problem: String)
    /// A field that has the wrong type or value; `expectation` goes on after "must be".
    case wrongField(String, of: String, expectation: String)

    package var description: String {
        switch self {
        case .syntax(let line, let column, let reason):
            "invalid JSON at line \(line), column \(column): \(reason)"
        case .duplicateName(let name):
            "invalid JSON: the name '\(name)' is there twice"
        case .invalid(let path, let problem):
            path.isEmpty ? problem : "\(path): \(problem)"
        case .notAnObject(let what):
            "\(what): must be an object"
        case .missingField(let field, let what):
            "\(what): field '\(field)' is missing"
        case .unknownFields(let fields, let what):
            "\(what): unknown field\(fields.count == 1 ? "" : "s") "
                + fields.map { "'\($0)'" }.joined(separator: ", ")
        case .wrongField(let field, let what, let expectation):
            "\(what): '\(field)' must be \(expectation)"
        }
    }
}
