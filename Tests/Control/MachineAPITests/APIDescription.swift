// SPDX-License-Identifier: Apache-2.0

import HTTP
import JSON
import TestSupport
import Testing
import Yams

/// docs/api/openapi.yaml.
struct APIDescription {
    /// One method of one path.
    struct Operation: Sendable, CustomTestStringConvertible {
        let method: String
        let path: String
        let content: JSONValue

        var name: String { "\(method) \(path)" }
        var testDescription: String { name }

        /// The schema of the body; null where there is none.
        var requestSchema: JSONValue { content["requestBody"]["content"]["application/json"]["schema"] }
    }

    let document: JSONValue

    /// As it is in this source tree.
    static let current: Result<APIDescription, any Error> = Result {
        let tree = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        let text = String(decoding: try FileContents.read("/\(tree)/docs/api/openapi.yaml"), as: UTF8.self)
        guard let node = try Yams.compose(yaml: text) else { throw MissedDeadline("a description") }
        return APIDescription(document: JSONValue(node))
    }

    /// All operations; none where the file cannot be read, which another test tells.
    static var operations: [Operation] { (try? current.get().operations) ?? [] }

    var operations: [Operation] {
        let paths = document["paths"].members
        return paths.names.flatMap { path in
            let item = paths[path] ?? .null
            return item.members.names.filter { $0 != "parameters" }.map { method in
                Operation(method: method.uppercased(), path: path, content: item[method])
            }
        }
    }

    /// Resolves `$ref`; returns other values as they are.
    func resolved(_ value: JSONValue) -> JSONValue {
        guard case .string(let reference) = value["$ref"] else { return value }
        return reference.split(separator: "/").dropFirst().reduce(document) { $0[String($1)] }
    }

    /// The response that an operation lists for a status; null where it does not.
    func response(_ status: Int, of operation: Operation) -> JSONValue {
        resolved(operation.content["responses"]["\(status)"])
    }

    /// The problems of an answer, as far as the description of the operation tells.
    func problems(with answer: Answer, to operation: Operation) -> [String] {
        let response = response(answer.status, of: operation)
        guard response != .null else { return ["status \(answer.status) is not listed (\(answer.fault))"] }
        var problems = response["headers"].members.names.filter { answer.headers[$0] == nil }.map { "no header \($0)" }
        let schema = response["content"]["application/json"]["schema"]
        if schema == .null {
            if answer.body != .null { problems.append("there is a body") }
        } else {
            problems += self.problems(with: answer.body, schema)
        }
        return problems
    }
}

extension JSONValue {
    /// A YAML node as JSON has it.
    init(_ node: Node) {
        switch node {
        case .mapping(let mapping):
            self = .object(JSONObject(mapping.map { ($0.key.scalar?.string ?? "", JSONValue($0.value)) }))
        case .sequence(let sequence): self = .array(sequence.map { JSONValue($0) })
        case .scalar(let scalar):
            switch node.tag.rawValue {
            case "tag:yaml.org,2002:int":
                self =
                    node.int.map { .integer(Int64($0)) } ?? UInt64(scalar.string).map { .unsigned($0) }
                    ?? .number(Double(scalar.string) ?? .nan)
            case "tag:yaml.org,2002:bool": self = .bool(node.bool ?? false)
            case "tag:yaml.org,2002:null": self = .null
            default: self = .string(scalar.string)
            }
        case .alias: self = .null
        }
    }
}
