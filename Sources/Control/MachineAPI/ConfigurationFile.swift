// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
package import JSON
package import MachineModel
import Network
package import SystemPackage

extension MachineConfiguration {
    private static let byteCountLimit = 1 << 20

    /// The sections of a file for Firecracker that Martlet accepts only if they are empty.
    private static let notOffered = [
        "balloon", "cpu-config", "memory-hotplug", "pmem",
    ]

    /// Reads a file as Firecracker's `--config-file` has it: the bodies of the API's requests under the names of their paths.
    ///
    /// A pipe is read too, up to a limit. `dialect` decides whether unknown sections are an error.
    package init(file path: FilePath, dialect: APIDialect = .martlet) throws(APIError) {
        do throws(APIError) {
            try self.init(parsing: Self.read(path), dialect)
        } catch {
            throw APIError("\(path): \(error)", firecracker: "\(path): \(error.text(.firecracker))")
        }
        if dialect == .firecracker { vsock?.takesReservedCIDs = true }
    }

    private init(parsing bytes: [UInt8], _ dialect: APIDialect) throws(APIError) {
        self = try inAPITerms(of: bytes) { () throws(JSONError) in
            var value = try JSONValue(parsing: bytes)
            if case .object(var object) = value {
                for name in Self.notOffered where object[name] == .null || object[name] == .array([]) {
                    object[name] = nil
                }
                if dialect == .firecracker {
                    let known = Self.notOffered + CodingKeys.allCases.map(\.rawValue)
                    for name in object.names where !known.contains(name) { object[name] = nil }
                    guard case .array = object["drives"] else {
                        throw .invalid(path: "drives", problem: "a list is required, which may be empty")
                    }
                }
                value = .object(object)
            }
            if case .object(let object) = value, let name = Self.notOffered.first(where: { object[$0] != nil }) {
                throw .invalid(path: name, problem: "Martlet does not offer it")
            }
            return try value.decode()
        }
    }

    private static func read(_ path: FilePath) throws(APIError) -> [UInt8] {
        do throws(FileContents.Failure) {
            return try FileContents.bytes(of: path, limit: byteCountLimit, kind: .any)
        } catch .tooLarge {
            throw APIError("larger than \(byteCountLimit >> 20) MiB, too large for a configuration")
        } catch {
            throw APIError("cannot be read: \(error)")
        }
    }

    /// The description as JSON; a kernel that was not chosen yet shows as null.
    package var json: JSONValue {
        guard case .object(var object) = JSONValue.encoding(self) else { return .null }
        if bootSource == nil { object["boot-source"] = .some(.null) }
        return .object(object)
    }

    /// The description as Firecracker has it: with every section and every field, null or empty where it was not set, and without
    /// the places of messages and of the console.
    var firecrackerJSON: JSONValue {
        guard case .object(var object) = JSONValue.encoding(self) else { return .null }
        object["serial"] = nil
        for name in ["logger", "metrics"] { object[name] = .some(.null) }
        for name in ["balloon", "cpu-config", "entropy", "memory-hotplug", "mmds-config", "vsock"]
        where object[name] == nil { object[name] = .some(.null) }
        for name in ["network-interfaces", "pmem"] where object[name] == nil { object[name] = .array([]) }
        if let service = object["mmds-config"], service != .null {
            let address = JSONValue.string(MetadataConfiguration.usualAddress.description)
            let defaults: JSONObject = ["version": "V1", "ipv4_address": address, "imds_compat": false]
            object["mmds-config"] = .filled(service, with: defaults)
        }
        object["boot-source"] = .filled(
            object["boot-source"],
            with: ["kernel_image_path": "", "initrd_path": .null, "boot_args": .null]
        )
        let devices: [(section: String, limiters: [String], defaults: JSONObject)] = [
            (
                "drives", ["rate_limiter"],
                ["partuuid": .null, "socket": .null, "cache_type": "Unsafe", "io_engine": "Sync"]
            ),
            ("network-interfaces", ["rx_rate_limiter", "tx_rate_limiter"], ["guest_mac": .null, "mtu": .null]),
            ("entropy", ["rate_limiter"], [:]),
        ]
        for device in devices {
            func shown(_ value: JSONValue) -> JSONValue {
                guard case .object(var own) = JSONValue.filled(value, with: device.defaults) else { return .null }
                for name in device.limiters { own[name] = .some(.limiter(own[name])) }
                return .object(own)
            }
            switch object[device.section] {
            case .array(let all): object[device.section] = .array(all.map(shown))
            case .object(let one): object[device.section] = shown(.object(one))
            default: break
            }
        }
        // Deprecated, and forgotten.
        if case .object(var vsock) = object["vsock"] {
            vsock["vsock_id"] = nil
            object["vsock"] = .object(vsock)
        }
        if case .object(var size) = object["machine-config"], size["cpu_template"] == "None" {
            size["cpu_template"] = nil
            object["machine-config"] = .object(size)
        }
        return .object(object)
    }

    /// Checks that the files of the description are readable, so that a wrong path is reported before the start.
    package func checkFiles() throws(APIError) {
        try bootSource?.checkFiles()
        for drive in drives { try drive.checkFile() }
    }
}

extension JSONValue {
    /// An object with the members that it lacks.
    fileprivate static func filled(_ value: JSONValue?, with defaults: JSONObject) -> JSONValue {
        var object = defaults
        if case .object(let own) = value { for name in own.names { object[name] = own[name] } }
        return .object(object)
    }

    /// A rate limiter as Firecracker shows it: limits that limit nothing are null, and so is a burst of 0.
    fileprivate static func limiter(_ value: JSONValue?) -> JSONValue {
        guard let value else { return .null }
        let buckets = ["bandwidth", "ops"].map { name -> JSONValue in
            guard case .object(var bucket) = value[name], bucket["size"] != 0, bucket["refill_time"] != 0 else {
                return .null
            }
            if bucket["one_time_burst"] == 0 { bucket["one_time_burst"] = .some(.null) }
            return .object(bucket)
        }
        return buckets == [.null, .null] ? .null : ["bandwidth": buckets[0], "ops": buckets[1]]
    }
}

extension BootSource {
    func checkFiles() throws(APIError) {
        let prefix = FirecrackerWords.prefix(of: "boot-source")
        try checkReadable(kernelPath, "the kernel") { "\(prefix)The kernel file cannot be opened: \($0)" }
        guard let initrdPath else { return }
        try checkReadable(initrdPath, "the initrd") {
            "\(prefix)The initrd file cannot be opened due to invalid path or invalid permissions. \($0)"
        }
    }
}

extension Drive {
    func checkFile() throws(APIError) {
        try checkReadable(path, "drive \(id)") { words in
            FirecrackerWords.prefix(of: "drive")
                + "Unable to create the virtio block device: Virtio backend error: Error manipulating the backing file: "
                + "\(words) \(path)"
        }
    }
}

extension Vsock {
    /// Checks that a socket can be made where the path wants it, which happens at the start.
    func checkFolder() throws(APIError) {
        guard let folder = path.map({ FilePath(hostText: $0).parent }) else { return }
        try checkReadable(folder.hostText, "vsock", isFolder: true) { words in
            FirecrackerWords.prefix(of: "vsock") + "Cannot create backend for vsock device: "
                + "Error binding to the host-side Unix socket: \(words)"
        }
    }
}

extension NetworkInterface {
    /// Tries to open a TAP as Firecracker opens it, which happens at the start.
    ///
    /// - Returns: The error, which names the TAP, where it cannot.
    func problemOfTAP(beside others: [NetworkInterface]) -> APIError? {
        // Other places, and several queues, are Martlet's own.
        guard backend == .tap, queueCount == 1 else { return nil }
        do throws(Errno) {
            let isTaken = others.contains { $0.backend == .tap && $0.hostDeviceName == hostDeviceName }
            if isTaken { throw Errno.resourceBusy }
            try NetworkAttachment.probeTAP(hostDeviceName)
            return nil
        } catch {
            return APIError(
                FirecrackerWords.prefix(of: "network-interface")
                    + "Could not create the network device: Open tap device failed: Error while creating ifreq structure: "
                    + "\(FirecrackerWords.words(of: error)). Invalid TUN/TAP Backend provided by \(hostDeviceName). "
                    + "Check our documentation on setting up the network devices."
            )
        }
    }
}

/// Checks that a file can be read.
///
/// A folder must let files be made in it. `words` makes Firecracker's words of those of the cause.
private func checkReadable(
    _ path: String,
    _ what: String,
    isFolder: Bool = false,
    _ words: (String) -> String
) throws(APIError) {
    let path = FilePath(hostText: path)
    let rights = isFolder ? W_OK | X_OK : R_OK
    var cause: Errno?
    if unsafe path.withPlatformString({ unsafe access($0, rights) }) != 0 {
        cause = Errno(rawValue: errno)
    } else if path.isFolder != isFolder {
        cause = isFolder ? .notDirectory : .isDirectory
    }
    guard let cause else { return }
    throw APIError(
        "\(what): cannot open \(path): \(cause)",
        firecracker: words(FirecrackerWords.words(of: cause))
    )
}
