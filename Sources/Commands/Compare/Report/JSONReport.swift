// SPDX-License-Identifier: Apache-2.0

import JSON

/// Everything that a comparison found out, for programs: every sample, not only medians.
package struct JSONReport {
    private let result: ComparisonResult

    package init(_ result: ComparisonResult) {
        self.result = result
    }

    /// The whole report, one JSON object.
    package var text: String {
        let host = result.host
        let value: JSONValue = [
            "martlet": .string(host.martletVersion),
            "date": .string(host.date),
            "host": [
                "kernel": .string(host.kernel),
                "processor": .string(host.processor),
                "processors": .quantity(Double(host.processorCount)),
                "memory": .quantity(host.memoryByteCount),
                "load": .quantity(host.load),
                "interpretsGuestKernels": .bool(host.interpretsGuestKernels),
                "workFolderIsInMemory": .bool(host.workFolderIsInMemory),
            ],
            "repetitions": .quantity(Double(result.repetitions)),
            "workload": result.workload.map(JSONValue.string) ?? .null,
            "warnings": .strings(result.warnings),
            "environments": .array(result.columns.map(Self.value)),
            "topics": .array(result.sections.map(Self.value)),
            "verdict": .strings(Verdict(result).sentences),
        ]
        return value.prettyText + "\n"
    }

    private static func value(_ column: ComparisonResult.Column) -> JSONValue {
        [
            "environment": .string(column.kind.rawValue),
            "provider": .string(column.provider),
            "problem": column.problem.map(JSONValue.string) ?? .null,
        ]
    }

    private static func value(_ section: Section) -> JSONValue {
        var members: [(String, JSONValue)] = [
            ("topic", .string(section.topic.rawValue)),
            ("explanation", .string(section.explanation)),
            ("rows", .array(section.rows.map(value))),
        ]
        if !section.timeline.isEmpty { members.append(("timeline", .array(section.timeline.map(value)))) }
        if !section.growth.isEmpty { members.append(("growth", .array(section.growth.map(value)))) }
        return .object(JSONObject(members))
    }

    private static func value(_ row: Row) -> JSONValue {
        let cells = EnvironmentKind.allCases.compactMap { kind in
            row.cells[kind].map { (kind.rawValue, value($0, ratio: row.ratio(kind))) }
        }
        return [
            "title": .string(row.title),
            "unit": .string(row.unit.rawValue),
            "largerIsBetter": .bool(row.largerIsBetter),
            "note": row.note.map(JSONValue.string) ?? .null,
            "environments": .object(JSONObject(cells)),
        ]
    }

    private static func value(_ cell: Cell, ratio: Double?) -> JSONValue {
        var members: [(String, JSONValue)] = []
        switch cell.content {
        case .samples(let samples):
            members = [
                ("median", .quantity(samples.median)), ("minimum", .quantity(samples.minimum)),
                ("maximum", .quantity(samples.maximum)), ("samples", .quantities(samples.values)),
            ]
            if let ratio { members.append(("timesProcess", .quantity(ratio))) }
        case .text(let text): members.append(("text", .string(text)))
        case .missing(let reason): members.append(("missing", .string(reason)))
        }
        if let outcome = cell.outcome { members.append(("outcome", .string(outcome.rawValue))) }
        if cell.isDistorted { members.append(("distorted", true)) }
        if cell.isExtrapolated { members.append(("extrapolated", true)) }
        return .object(JSONObject(members))
    }

    private static func value(_ step: Section.Step) -> JSONValue {
        [
            "name": .string(step.name),
            "explanation": .string(step.explanation),
            "median": .quantity(step.seconds.median),
            "samples": .quantities(step.seconds.values),
            "distorted": .bool(step.isDistorted),
        ]
    }

    private static func value(_ growth: Section.Growth) -> JSONValue {
        [
            "environment": .string(growth.kind.rawValue),
            "instances": .quantities(growth.loads.map { Double($0.instances) }),
            "bytes": .quantities(growth.loads.map(\.byteCount)),
            "bytesPerInstance": .quantity(growth.byteCountPerInstance),
            "limit": .quantity(growth.limit),
            "limitIsExtrapolated": true,
        ]
    }
}

extension JSONValue {
    static func strings(_ strings: [String]) -> JSONValue { .array(strings.map(JSONValue.string)) }

    /// A number, as an integer where it is one.
    static func quantity(_ value: Double) -> JSONValue {
        Int64(exactly: value).map(JSONValue.integer) ?? .number(value)
    }

    static func quantities(_ values: [Double]) -> JSONValue { .array(values.map(quantity)) }
}
