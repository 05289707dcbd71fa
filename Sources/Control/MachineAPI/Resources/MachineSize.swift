// SPDX-License-Identifier: Apache-2.0

import JSON
import Machine

/// `/machine-config`: how large the machine is.
struct MachineSize: Hashable, Sendable {
    var vcpuCount = 1
    var memoryMiB = 128
    var hugePages = HugePages.none
    /// What only Martlet has.
    var hasExitStatusPort = false

    enum HugePages: String, CaseIterable {
        case none = "None"
        case transparent = "Transparent"
        case explicit = "2M"
    }

    private enum CPUTemplate: String, CaseIterable {
        case none = "None"
        case c3 = "C3"
        case t2 = "T2"
        case t2s = "T2S"
        case t2cl = "T2CL"
        case t2a = "T2A"
        case v1n1 = "V1N1"
    }

    init() {}

    /// - Parameters:
    ///   - value: The body of a request.
    ///   - base: What fields that are absent are left as, for `PATCH`; `nil` for `PUT`, which needs those that matter.
    /// - Throws: `APIError` for a body that is no size, or one that Martlet does not offer.
    init(_ value: JSONValue, changing base: MachineSize? = nil) throws(APIError) {
        var unoffered: String?
        self = try inAPITerms { () throws(JSONError) in
            var fields = try JSONFields(value, of: "machine-config")
            var size = base ?? MachineSize()
            let counts = MachineConfiguration.vcpuCounts
            let vcpus = JSONFieldType.integer(in: Int64(counts.lowerBound)...Int64(counts.upperBound))
            let mebibytes = JSONFieldType.integer(in: 1...Int64(1) << 30)
            if base == nil {
                size.vcpuCount = Int(try fields.required("vcpu_count", vcpus))
                size.memoryMiB = Int(try fields.required("mem_size_mib", mebibytes))
            } else {
                if let count = try fields.optional("vcpu_count", vcpus) { size.vcpuCount = Int(count) }
                if let count = try fields.optional("mem_size_mib", mebibytes) { size.memoryMiB = Int(count) }
            }
            if try fields.optional("smt", .bool) == true { unoffered = "several threads to a core (smt)" }
            if try fields.optional("track_dirty_pages", .bool) == true { unoffered = "dirty page tracking" }
            if let template = try fields.optional("cpu_template", .enumeration(CPUTemplate.self)), template != .none {
                unoffered = "CPU templates"
            }
            if let pages = try fields.optional("huge_pages", .enumeration(HugePages.self)) { size.hugePages = pages }
            if size.hugePages == .explicit { unoffered = "hugetlbfs pages (huge_pages: 2M)" }
            if var extensions = try fields.optionalObject("martlet") {
                size.hasExitStatusPort = try extensions.optional("exit_status_port", .bool) ?? size.hasExitStatusPort
                try extensions.finish()
            }
            try fields.finish()
            return size
        }
        if let unoffered { throw .notOffered(unoffered) }
    }

    var json: JSONValue {
        var object: JSONObject = [
            "vcpu_count": .integer(Int64(vcpuCount)), "mem_size_mib": .integer(Int64(memoryMiB)), "smt": false,
            "track_dirty_pages": false, "huge_pages": .string(hugePages.rawValue),
        ]
        if hasExitStatusPort { object["martlet"] = ["exit_status_port": true] }
        return .object(object)
    }
}
