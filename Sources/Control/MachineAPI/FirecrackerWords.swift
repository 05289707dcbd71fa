// SPDX-License-Identifier: Apache-2.0

package import HTTP
import Host
import JSON
import Machine
import MachineModel
import Snapshot
import Storage
import SystemPackage
import Virtio

/// Firecracker's error messages, which its clients and tests look for, in the place of Martlet's own.
enum FirecrackerWords {
    /// Words the error of a JSON body as the library serde_json does.
    ///
    /// - Returns: The words; `nil` where Martlet's own stay.
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
                let expected = fields(of: path).map { ", expected \(choice(of: $0))" } ?? ""
                return "unknown field `\(field)`\(expected)" + place(of: name(field, in: text), in: text)
            case "must be true or false": return typeWords("a boolean", of: field, in: text)
            case "must be a string":
                let isPath = ["metrics_path", "log_path"].contains(field)
                return typeWords(isPath ? "path string" : "a string", of: field, in: text)
            case "must be an integer": return typeWords(integers[field] ?? "u64", of: field, in: text)
            case _ where problem.hasPrefix("must be 0 to ") || problem.hasPrefix("must be -"):
                return typeWords(integers[field] ?? "u64", of: field, in: text, "invalid value")
            default:
                return variantWords(problem).map { $0 + place(of: scalar(of: field, in: text)?.end, in: text) }
            }
        }
    }

    private static func syntaxWords(_ reason: String, line: Int, column: Int) -> String? {
        if reason.has("the integer is too large") {
            return "invalid type: floating point, expected an integer at line \(line) column \(column)"
        }
        guard reason.hasPrefix("the text ends where ") else { return nil }
        let what =
            reason.has("'}'") || reason.has("name") || reason.has("':'")
            ? "an object" : reason.has("']'") ? "a list" : "a value"
        return "EOF while parsing \(what) at line \(line) column \(max(0, column - 1))"
    }

    /// From `must be one of 'A', 'B', not 'C'`.
    private static func variantWords(_ problem: String) -> String? {
        let parts = problem.split(separator: "'", omittingEmptySubsequences: false)
        guard problem.hasPrefix("must be one of '"), parts.count >= 5, parts[parts.count - 3] == ", not " else {
            return nil
        }
        let names = stride(from: 1, to: parts.count - 3, by: 2).map { String(parts[$0]) }
        if names.contains("Trace") { return "Invalid LevelFilter" }
        return "unknown variant `\(parts[parts.count - 2])`, expected \(choice(of: names))"
    }

    private static func choice(of names: [String]) -> String {
        let names = names.map { "`\($0)`" }
        return switch names.count {
        case 1: names[0]
        case 2: names.joined(separator: " or ")
        default: "one of " + names.joined(separator: ", ")
        }
    }

    /// The types of Firecracker's integers; the others are u64.
    private static let integers = ["vcpu_count": "u8", "mem_size_mib": "usize", "guest_cid": "u32"]

    /// The fields of the object that a path of an error leads into, where they are known.
    private static func fields(of path: String) -> [String]? {
        switch path.split(separator: ".").dropLast().last {
        case "machine-config":
            ["vcpu_count", "mem_size_mib", "smt", "cpu_template", "track_dirty_pages", "huge_pages"]
        case "boot-source": ["kernel_image_path", "initrd_path", "boot_args"]
        case "drive":
            [
                "drive_id", "partuuid", "is_root_device", "cache_type", "is_read_only", "path_on_host", "rate_limiter",
                "io_engine", "socket",
            ]
        case "network-interface": ["iface_id", "host_dev_name", "guest_mac", "rx_rate_limiter", "tx_rate_limiter"]
        case "vsock": ["vsock_id", "guest_cid", "uds_path"]
        case "rate_limiter", "rx_rate_limiter", "tx_rate_limiter": ["bandwidth", "ops"]
        case "entropy": ["rate_limiter"]
        case "logger": ["log_path", "level", "show_level", "show_log_origin", "module"]
        case "action": ["action_type"]
        default: nil
        }
    }

    /// Says what the value of a field is in place of what it should be.
    private static func typeWords(
        _ expected: String,
        of field: String,
        in text: [UInt8],
        _ beginning: String = "invalid type"
    ) -> String {
        guard let (value, end) = scalar(of: field, in: text) else { return "\(beginning): expected \(expected)" }
        let found =
            switch value.first {
            case "\""?: "string \(value)"
            case "n"?: "null"
            case "t"?, "f"?: "boolean `\(value)`"
            case _ where value.contains(where: { ".eE".contains($0) }): "floating point `\(value)`"
            default: "integer `\(value)`"
            }
        return "\(beginning): \(found), expected \(expected)" + place(of: end, in: text)
    }

    /// The value of a field that is a string, number or word, and where it ends.
    private static func scalar(of field: String, in text: [UInt8]) -> (value: String, end: Int)? {
        guard let nameEnd = name(field, in: text) else { return nil }
        let isGap = { (byte: UInt8) in [0x20, 0x09, 0x0a, 0x0d, UInt8(ascii: ":")].contains(byte) }
        guard let start = text[(nameEnd + 1)...].firstIndex(where: { !isGap($0) }),
            ![UInt8(ascii: "{"), UInt8(ascii: "[")].contains(text[start])
        else { return nil }
        var end = start
        if text[start] == UInt8(ascii: "\"") {
            repeat {
                end += text[end] == UInt8(ascii: "\\") ? 2 : 1
            } while end < text.count && text[end] != UInt8(ascii: "\"")
            guard end < text.count else { return nil }
        } else {
            let stops = Array(",}] \t\r\n".utf8)
            end = (text[start...].firstIndex { stops.contains($0) } ?? text.count) - 1
        }
        return (String(decoding: text[start...end], as: UTF8.self), end)
    }

    private static func lastBrace(in text: [UInt8]) -> Int? { text.lastIndex(of: UInt8(ascii: "}")) }

    private static func name(_ field: String, in text: [UInt8]) -> Int? {
        let name = Array("\"\(field)\"".utf8)
        return text.firstIndex(ofPart: name).map { $0 + name.count - 1 }
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
            case "boot-source.kernel_image_path" where error.problem.hasSuffix("is empty"):
                "The kernel file cannot be opened: No such file or directory (os error 2)"
            case "boot-source.boot_args" where error.problem.has("at most"):
                "The kernel command line is invalid: Invalid cmdline capacity provided."
            case _ where error.problem.has("the name of a TAP has"):
                "Could not create the network device: Open tap device failed: Invalid interface name"
            // These are Firecracker's words already.
            case _ where error.problem.first?.isUppercase == true: error.problem
            default: error.description
            }
        // Checked before it is known what the identifier is of.
        if problem.hasPrefix("API Resource") { return problem }
        return prefix(of: section) + problem
    }

    /// Says what keeps a machine from being made.
    ///
    /// - Returns: The words; `nil` where those of ours stay.
    static func words(of error: MachineError, restoring place: SnapshotPlace?) -> String? {
        let state = "Failed to get snapshot state from file: "
        return switch error {
        case .configuration(let error) where error.problem.hasPrefix("a machine has room for"):
            "Start microvm error: Could not allocate GSI: The requested resource is not available."
        case .configuration(let error) where error.problem.hasPrefix("a process has addresses for"):
            "Invalid Memory Configuration: Cannot create mmap region: Out of memory (os error 12)"
        case .storage(.file(let path, _, let cause)):
            "Virtio backend error: Error manipulating the backing file: \(words(of: cause)) \(path)"
        case .snapshot(.file(_, place?.state, let cause)): "\(state)Failed to open snapshot file: \(words(of: cause))"
        case .snapshot(.file(_, place?.memory, let cause)):
            """
            Failed to load guest memory: Error creating guest memory from file: Failed to load guest memory: \
            \(words(of: cause))
            """
        case .snapshot(.notASnapshot(place?.state, StateFile.emptiness)):
            "\(state)Failed to load snapshot state from file: IO Error: File too short to contain CRC"
        default: nil
        }
    }

    /// Says the cause of a failed call as Rust does.
    static func words(of cause: Errno) -> String { "\(cause) (os error \(cause.rawValue))" }

    /// The header of a vsock packet, as Rust prints a structure.
    static func words(of packet: VsockPacket) -> String {
        """
        VsockPacketHeader { src_cid: \(packet.sourceCID), dst_cid: \(packet.destinationCID), \
        src_port: \(packet.sourcePort), dst_port: \(packet.destinationPort), len: \(packet.byteCount), \
        type_: \(packet.type), op: \(packet.operation), flags: \(packet.flags), \
        buf_alloc: \(packet.bufferByteCount), fwd_cnt: \(packet.forwardedCount) }
        """
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
