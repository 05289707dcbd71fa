// SPDX-License-Identifier: Apache-2.0

import JSON
import SystemPackage

/// The file of `--config-file`: the bodies of the API's requests under the names of their paths.
struct ConfigurationFile {
    var resources = MachineResources()
    var logger: LoggerSettings?
    var metrics: MetricsSettings?

    /// What there may be in a file for Firecracker, as long as nothing is asked for.
    private static let notOffered = [
        "balloon", "cpu-config", "memory-hotplug", "mmds-config", "network-interfaces", "pmem", "vsock",
    ]
    private static let byteCountLimit = 1 << 20

    /// - Parameter path: A file, not a large one.
    /// - Throws: `APIError`, which names the file.
    init(path: FilePath) throws(APIError) {
        do throws(APIError) {
            try self.init(parsing: Self.read(path))
        } catch {
            throw APIError("\(path): \(error)")
        }
    }

    init(parsing bytes: [UInt8]) throws(APIError) {
        let object = try inAPITerms { () throws(JSONError) in
            guard case .object(let object) = try JSONValue(parsing: bytes) else {
                throw .notAnObject("the configuration")
            }
            return object
        }
        guard object["boot-source"] != nil else { throw APIError("the configuration has no 'boot-source'") }
        for name in object.names {
            guard let value = object[name], value != .null, value != .array([]) else { continue }
            switch name {
            case "boot-source": resources.bootSource = try BootSource(value)
            case "machine-config": resources.size = try MachineSize(value)
            case "drives": try addDrives(value)
            case "entropy": resources.entropy = try EntropySource(value)
            case "serial": resources.serial = try SerialConsole(value)
            case "logger": logger = try LoggerSettings(value)
            case "metrics": metrics = try MetricsSettings(value)
            case _ where Self.notOffered.contains(name): throw .notOffered(name)
            default: throw APIError("unknown field '\(name)'")
            }
        }
    }

    private mutating func addDrives(_ value: JSONValue) throws(APIError) {
        guard case .array(let drives) = value else { throw APIError("'drives' must be an array") }
        for drive in drives { try resources.set(try Drive(drive)) }
    }

    private static func read(_ path: FilePath) throws(APIError) -> [UInt8] {
        do {
            let file = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking])
            return try file.closeAfter {
                var bytes: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 1 << 16)
                while true {
                    let count = try unsafe buffer.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
                    bytes += buffer.prefix(count)
                    guard count > 0 else { return bytes }
                    guard bytes.count <= byteCountLimit else {
                        throw APIError("larger than \(byteCountLimit >> 20) MiB: no configuration")
                    }
                }
            }
        } catch {
            throw (error as? APIError) ?? APIError("cannot be read: \(error)")
        }
    }
}
