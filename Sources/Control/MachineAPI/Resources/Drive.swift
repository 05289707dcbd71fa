// SPDX-License-Identifier: Apache-2.0

import JSON
import Machine
import Storage
import SystemPackage

/// `/drives/{drive_id}`: a disk.
struct Drive: Hashable, Sendable {
    let identifier: String
    var path: String
    var isRoot: Bool
    var partitionIdentifier: String?
    var isReadOnly = false
    /// What Martlet does is "Writeback" in either case: a flush is never ignored.
    var cacheType: CacheType?
    var engine: Engine?
    var rateLimit: RateLimit?
    /// What only Martlet has.
    var isDirect = false
    var serial: String?
    var queueCount = 1

    enum CacheType: String, CaseIterable {
        case unsafe = "Unsafe"
        case writeback = "Writeback"
    }

    enum Engine: String, CaseIterable {
        case sync = "Sync"
        case async = "Async"
    }

    /// - Parameters:
    ///   - value: The body of a `PUT`, or an element of `drives` in a file.
    ///   - pathIdentifier: The identifier in the request's path, which has to be the same.
    /// - Throws: `APIError` for a body that is no disk, or one that Martlet does not offer.
    init(_ value: JSONValue, at pathIdentifier: String? = nil) throws(APIError) {
        var hasSocket = false
        self = try inAPITerms { () throws(JSONError) in
            var fields = try JSONFields(value, of: "drive")
            var drive = Drive(
                identifier: try fields.required("drive_id", .string),
                path: "",
                isRoot: try fields.required("is_root_device", .bool)
            )
            hasSocket = try fields.optional("socket", .string) != nil
            if !hasSocket { drive.path = try fields.required("path_on_host", .path) }
            drive.partitionIdentifier = try fields.optional("partuuid", .string)
            drive.isReadOnly = try fields.optional("is_read_only", .bool) ?? false
            drive.cacheType = try fields.optional("cache_type", .enumeration(CacheType.self))
            drive.engine = try fields.optional("io_engine", .enumeration(Engine.self))
            drive.rateLimit = try fields.optionalObject("rate_limiter").map { f throws(JSONError) in try RateLimit(f) }
            if var extensions = try fields.optionalObject("martlet") {
                drive.isDirect = try extensions.optional("direct", .bool) ?? false
                drive.serial = try extensions.optional("serial", .string)
                drive.queueCount = Int(try extensions.optional("queues", .integer(in: 1...16)) ?? 1)
                try extensions.finish()
            }
            try fields.finish()
            return drive
        }
        if hasSocket { throw .notOffered("vhost-user-block back ends (socket)") }
        try Self.check(identifier, at: pathIdentifier)
    }

    private init(identifier: String, path: String, isRoot: Bool) {
        (self.identifier, self.path, self.isRoot) = (identifier, path, isRoot)
    }

    /// Checks that an identifier may be one, and is the same in path and body.
    static func check(_ identifier: String, at pathIdentifier: String?) throws(APIError) {
        guard !identifier.isEmpty, identifier.utf8.count <= 64, identifier.allSatisfy({ $0.isIdentifierCharacter })
        else {
            throw APIError("API Resource IDs can only contain alphanumeric characters and underscores.")
        }
        guard pathIdentifier == nil || pathIdentifier == identifier else {
            throw APIError(
                "The id from the path [\(pathIdentifier ?? "")] does not match the id from the body [\(identifier)]!"
            )
        }
    }

    var json: JSONValue {
        var object: JSONObject = [
            "drive_id": .string(identifier), "path_on_host": .string(path), "is_root_device": .bool(isRoot),
            "is_read_only": .bool(isReadOnly),
        ]
        if let partitionIdentifier { object["partuuid"] = .string(partitionIdentifier) }
        if let cacheType { object["cache_type"] = .string(cacheType.rawValue) }
        if let engine { object["io_engine"] = .string(engine.rawValue) }
        if let rateLimit { object["rate_limiter"] = rateLimit.json }
        var extensions: JSONObject = [:]
        if isDirect { extensions["direct"] = true }
        if let serial { extensions["serial"] = .string(serial) }
        if queueCount != 1 { extensions["queues"] = .integer(Int64(queueCount)) }
        if !extensions.names.isEmpty { object["martlet"] = .object(extensions) }
        return .object(object)
    }

    /// The same disk as the machine knows it.
    var configuration: DiskConfiguration {
        var disk = DiskConfiguration(path: FilePath(path))
        disk.isReadOnly = isReadOnly
        disk.isDirect = isDirect
        disk.identifier = serial
        disk.queueCount = queueCount
        disk.rateLimit = rateLimit
        switch engine {
        case .sync: disk.engine = .threads
        case .async: disk.engine = .ioUring
        case nil: disk.engine = .automatic
        }
        return disk
    }
}

extension Character {
    fileprivate var isIdentifierCharacter: Bool {
        isASCII && (isLetter || isNumber) || self == "_"
    }
}
