// SPDX-License-Identifier: Apache-2.0

/// What of a process is in memory, from `/proc/PID/smaps`, apart from the RAM of the guest that it runs.
struct ResidentMemory {
    /// One mapping.
    private struct Mapping {
        var path = ""
        var residentByteCount = 0.0
        var proportionalByteCount = 0.0
        var privateByteCount = 0.0
        var flags: [Substring] = []

        /// Guest RAM is what Martlet advises huge pages for ("hg") and keeps out of core dumps ("dd").
        var isGuestMemory: Bool {
            path.isEmpty && flags.contains("hg") && flags.contains("dd")
        }

        func owner(program: String) -> String {
            if path == program { return "the program's file" }
            return path.hasPrefix("/") ? "other files (shared libraries)" : "heap, stacks, other"
        }
    }

    /// Resident bytes by who they belong to; text included, shared or not.
    private(set) var byteCounts: [String: Double] = [:]
    /// The same, but what n processes share counts 1/n for each.
    private(set) var proportionalByteCount = 0.0
    private(set) var guestByteCount = 0.0
    /// Bytes that no file holds as well: what n machines need n times.
    private(set) var privateByteCount = 0.0

    private let program: String

    var byteCount: Double {
        byteCounts.values.reduce(0, +)
    }

    init(process: Int32) throws {
        let text = try readFile("/proc/\(process)/smaps")
        program = try linkTarget("/proc/\(process)/exe")
        var mapping = Mapping()
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard let first = words.first else { continue }
            if !first.hasSuffix(":") {
                add(mapping)
                mapping = Mapping()
                if words.count > 5 { mapping.path = String(words[5].drop { $0 == " " }) }
                continue
            }
            let kibibytes = words.count > 1 ? Double(words[1]) : nil
            switch first {
            case "Rss:": mapping.residentByteCount = (kibibytes ?? 0) * 1024
            case "Pss:": mapping.proportionalByteCount = (kibibytes ?? 0) * 1024
            case "Anonymous:": mapping.privateByteCount = (kibibytes ?? 0) * 1024
            case "VmFlags:": mapping.flags = line.split(separator: " ")
            default: break
            }
        }
        add(mapping)
        guard guestByteCount > 0 else { throw BenchmarkError("process \(process) shows no guest memory") }
    }

    private mutating func add(_ mapping: Mapping) {
        if mapping.isGuestMemory {
            guestByteCount += mapping.residentByteCount
        } else {
            byteCounts[mapping.owner(program: program), default: 0] += mapping.residentByteCount
            proportionalByteCount += mapping.proportionalByteCount
            privateByteCount += mapping.privateByteCount
        }
    }
}
