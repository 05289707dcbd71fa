// SPDX-License-Identifier: Apache-2.0

package import JSON
package import SystemPackage

/// How a machine ended.
package struct MachineResult: Hashable, Sendable {
    /// One word, such as `powered-off` or `panicked`.
    package let outcome: String
    package let exitStatus: UInt8
    /// What its user should read, if anything.
    package let message: String?

    package init(_ value: JSONValue) throws(RegistryError) {
        guard
            case .object(let object) = value, case .string(let outcome) = object["outcome"],
            case .integer(let status) = object["exit_status"], let exitStatus = UInt8(exactly: status)
        else { throw RegistryError("it is not known how the machine ended: \(value.text)") }
        self.outcome = outcome
        self.exitStatus = exitStatus
        message = if case .string(let text) = object["message"] { text } else { nil }
    }

    /// The result of a machine whose process is gone.
    ///
    /// - Throws: `RegistryError` where it left none: it was killed.
    package init(of folder: MachineFolder) throws(RegistryError) {
        guard let bytes = folder.contents(of: folder.result), let value = try? JSONValue(parsing: bytes) else {
            throw RegistryError("the process of machine '\(folder.name)' died, see \(folder.monitorLog)")
        }
        try self.init(value)
    }
}

extension MachineFolder {
    /// A JSON file of the folder; null if it is not there.
    package func value(of path: FilePath) -> JSONValue {
        contents(of: path).flatMap { try? JSONValue(parsing: $0) } ?? .null
    }

    /// A file of the folder, if it is there.
    package func contents(of path: FilePath) -> [UInt8]? {
        guard let file = try? FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .noFollow]) else {
            return nil
        }
        return try? file.closeAfter {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = try unsafe buffer.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
                guard count > 0 else { return bytes }
                bytes += buffer.prefix(count)
            }
        }
    }
}
