// SPDX-License-Identifier: Apache-2.0

package import HTTP
import JSON
import MachineModel

/// The words of Firecracker's errors, which its clients and tests look for, in the place of Martlet's own.
enum FirecrackerWords {
    /// Says the error of a JSON body as the library serde_json does.
    ///
    /// - Parameters:
    ///   - error: The error.
    ///   - text: The text that the body was read from.
    /// - Returns: The words; `nil` where those of ours stay.
    static func words(of error: JSONError, in text: [UInt8]) -> String? {
        switch error {
        case .syntax(let line, let column, let reason): return syntaxWords(reason, line: line, column: column)
        case .duplicateName: return nil
        case .invalid(let path, let problem):
            let field = String(path.split(separator: ".").last ?? "")
            switch problem {
            case "is missing":
                // The place is the end of the object, which is known of the body itself.
                let isOuter = path.split(separator: ".").count == 2
                return "missing field `\(field)`" + (isOuter ? place(of: lastBrace(in: text), in: text) : "")
            case "unknown field":
                return "unknown field `\(field)`" + place(of: name(field, in: text), in: text)
            case "must be true or false": return "invalid type: expected a boolean"
            case "must be a string": return "invalid type: expected a string"
            case "must be an integer": return "invalid type: expected an integer"
            default: return variantWords(problem)
            }
        }
    }

    private static func syntaxWords(_ reason: String, line: Int, column: Int) -> String? {
        if reason.contains("the integer is too large") {
            return "invalid type: floating point, expected an integer at line \(line) column \(column)"
        }
        guard reason.hasPrefix("the text ends where ") else { return nil }
        let what =
            reason.contains("'}'") || reason.contains("name") || reason.contains("':'")
            ? "an object" : reason.contains("']'") ? "a list" : "a value"
        return "EOF while parsing \(what) at line \(line) column \(max(0, column - 1))"
    }

    /// From `must be one of 'A', 'B', not 'C'`.
    private static func variantWords(_ problem: String) -> String? {
        let parts = problem.split(separator: "'", omittingEmptySubsequences: false)
        guard problem.hasPrefix("must be one of '"), parts.count >= 5, parts[parts.count - 3] == ", not " else {
            return nil
        }
        let names = stride(from: 1, to: parts.count - 3, by: 2).map { "`\(parts[$0])`" }
        let expected = names.count == 2 ? names.joined(separator: " or ") : "one of " + names.joined(separator: ", ")
        return "unknown variant `\(parts[parts.count - 2])`, expected \(expected)"
    }

    private static func lastBrace(in text: [UInt8]) -> Int? { text.lastIndex(of: UInt8(ascii: "}")) }

    private static func name(_ field: String, in text: [UInt8]) -> Int? {
        let name = Array("\"\(field)\"".utf8)
        guard text.count >= name.count else { return nil }
        return (0...text.count - name.count).first { text[$0...].starts(with: name) }.map { $0 + name.count - 1 }
    }

    private static func place(of index: Int?, in text: [UInt8]) -> String {
        guard let index else { return "" }
        let (line, column) = JSONError.place(of: index, in: text)
        return " at line \(line) column \(column)"
    }

    /// The words of the error of a field, behind those of its part of the machine.
    static func words(of error: ConfigurationError) -> String {
        let section = error.field.prefix { $0 != "." && $0 != "[" }
        let problem =
            switch error.field {
            case "machine-config.vcpu_count":
                """
                The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number if SMT is enabled.
                """
            case "machine-config.mem_size_mib":
                "The memory size (MiB) is either 0, or not a multiple of the configured page size."
            // These are Firecracker's words already.
            case _ where error.problem.first?.isUppercase == true: error.problem
            default: error.description
            }
        // Checked before it is known what the identifier is of.
        if problem.hasPrefix("API Resource") { return problem }
        return prefix(of: section) + problem
    }

    /// The words before the error of a part of the machine.
    static func prefix(of section: some StringProtocol) -> String {
        switch section {
        case "machine-config": "Machine config error: "
        case "boot-source": "Boot source error: "
        case "drive", "drives": "Drive config error: "
        case "network-interface", "network-interfaces": "Network config error: "
        case "vsock": "Vsock config error: "
        case "mmds-config": "MMDS config error: "
        case "entropy": "Entropy config error: "
        case "logger": "Logger error: "
        case "metrics": "Metrics error: "
        default: ""
        }
    }
}

extension HTTPServerStyle {
    /// The form of the answers of a program's server.
    package static func of(_ dialect: APIDialect) -> HTTPServerStyle {
        dialect == .firecracker ? firecracker : HTTPServerStyle(name: APIVersion.name)
    }

    private static var firecracker: HTTPServerStyle {
        var style = HTTPServerStyle(name: "Firecracker API")
        style.hasReasons = false
        style.faultConnection = "keep-alive"
        style.answer = { fault in
            let text = "{ \"error\": \"\(fault.description)\nAll previous unanswered requests will be dropped.\" }"
            // It has no statuses but a few.
            return HTTPResponse(fault.status == 413 ? 400 : fault.status, body: Array(text.utf8))
        }
        return style
    }
}
