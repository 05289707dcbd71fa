// SPDX-License-Identifier: Apache-2.0

import CHost
import GuestAgent
package import Host
import JSON
package import MachineAPI
package import SystemPackage

/// The user's own lists of system calls: the JSON of Firecracker's seccompiler (its docs/seccompiler.md), read as it is.
///
/// Each of `vmm`, `api` and `vcpu` has a default action and another one for the calls that it lists.
package enum SeccompFilterFile {
    private static let byteLimit = 1 << 20
    private static let threads = ["vmm", "api", "vcpu"]

    /// Reads the filters: `vmm` is for all threads, the others for theirs besides.
    ///
    /// - Throws: `APIError`, in words.
    package static func read(_ path: FilePath) throws(APIError) -> Sandbox.OwnFilters {
        let bytes: [UInt8]
        do throws(FileContents.Failure) {
            bytes = try FileContents.bytes(of: path, limit: byteLimit, kind: .any)
        } catch {
            throw APIError("\(path): \(error)", firecracker: "Seccomp error: Filter file open error: \(error)")
        }
        do {
            let file = try JSONValue(parsing: bytes)
            guard case .object(let filters) = file, Set(filters.names.map { $0.lowercased() }) == Set(threads),
                filters.names.count == threads.count
            else { throw problem("it has \(threads.joined(separator: ", ")), and nothing else") }
            func program(_ thread: String) throws -> [UInt64] {
                let name = filters.names.first { $0.lowercased() == thread } ?? thread
                return try SeccompProfile.program(of: list(file[name], of: thread))
            }
            return Sandbox.OwnFilters(all: try program("vmm"), api: try program("api"), vcpu: try program("vcpu"))
        } catch {
            throw APIError(
                "\(path) is no list of system calls in seccompiler's JSON: \(error)",
                firecracker: "Seccomp error: Filter deserialization failed: \(error)"
            )
        }
    }

    private static func problem(_ text: String) -> AgentError { .unusable(text) }

    /// The list of one kind of threads in OCI's form.
    private static func list(_ filter: JSONValue, of thread: String) throws(AgentError) -> JSONValue {
        let (otherwise, defaultNumber) = try action(filter["default_action"], of: thread)
        let (listed, number) = try action(filter["filter_action"], of: thread)
        guard case .array(let rules) = filter["filter"] else { throw problem("\(thread) has no list 'filter'") }
        var calls: [JSONValue] = []
        for rule in rules {
            guard let name = rule["syscall"].string, unsafe chost_system_call_number(name) >= 0 else {
                throw problem("\(thread): there is no system call '\(printable(rule["syscall"].string ?? ""))'")
            }
            var conditions: [JSONValue] = []
            switch rule["args"] {
            case .null, .array: break
            default: throw problem("\(thread), \(name): 'args' is a list")
            }
            for condition in rule["args"].elements {
                conditions.append(try self.condition(condition, of: "\(thread), \(name)"))
            }
            guard Set(conditions.map { $0["index"] }).count == conditions.count else {
                throw problem("\(thread), \(name): a rule looks at an argument once")
            }
            calls.append(["names": [.string(name)], "action": listed, "errnoRet": number, "args": .array(conditions)])
        }
        return ["defaultAction": otherwise, "defaultErrnoRet": defaultNumber, "syscalls": .array(calls)]
    }

    /// An action, and its number.
    private static func action(_ value: JSONValue, of thread: String) throws(AgentError) -> (JSONValue, JSONValue) {
        switch value {
        case "allow", "kill_thread", "kill_process", "log", "trap":
            return (.string("SCMP_ACT_" + (value.string ?? "").uppercased()), .null)
        case .object(let object) where object.names == ["errno"] || object.names == ["trace"]:
            guard let name = object.names.first, case .integer(0...0xffff) = value[name] else { break }
            return (.string("SCMP_ACT_" + name.uppercased()), value[name])
        default: break
        }
        throw problem("\(thread): an action is allow, errno, kill_thread, kill_process, log, trace or trap")
    }

    private static func condition(_ value: JSONValue, of call: String) throws(AgentError) -> JSONValue {
        guard let operand = value["val"].bits, value["val"].integerValue ?? 0 >= 0,
            case .integer(0...5) = value["index"], ["dword", "qword"].contains(value["type"].string)
        else {
            throw problem(
                "\(call): a condition has an 'index' from 0 to 5, a 'type' dword or qword, and a 'val' from 0 on"
            )
        }
        switch value["op"] {
        case "eq" where value["type"] == "dword":
            // Some libraries leave garbage in the upper half of an argument.
            return [
                "index": value["index"], "op": "SCMP_CMP_MASKED_EQ", "value": 0xffff_ffff,
                "valueTwo": .integer(Int64(bitPattern: operand & 0xffff_ffff)),
            ]
        case "eq", "ge", "gt", "le", "lt", "ne":
            let name = "SCMP_CMP_" + (value["op"].string ?? "").uppercased()
            return ["index": value["index"], "op": .string(name), "value": value["val"]]
        case let operation where operation["masked_eq"].bits != nil:
            return [
                "index": value["index"], "op": "SCMP_CMP_MASKED_EQ", "value": operation["masked_eq"],
                "valueTwo": value["val"],
            ]
        default: throw problem("\(call): 'op' is eq, ge, gt, le, lt, ne or masked_eq")
        }
    }
}
