// SPDX-License-Identifier: Apache-2.0

import CHost
import Host
package import JSON
package import SystemPackage

/// The text of a snapshot's `state`: one line with the version and a checksum, then JSON.
///
///     martlet-snapshot 1.0 crc32c=89abcdef bytes=12345
///     {"id": …
package enum StateFile {
    /// The largest size in bytes: checksums of 2 TiB of memory, and 64 vCPUs, have room.
    package static let sizeLimit = 16 << 20
    private static let magic = "martlet-snapshot"
    private static let headerLimit = 128

    /// Makes the text of a value.
    ///
    /// - Parameter value: Anything that JSON can say.
    /// - Returns: The text.
    /// - Throws: `JSONError` for a value that JSON cannot say.
    package static func text(of value: some Encodable) throws(JSONError) -> [UInt8] {
        let body = Array(try JSONValue(encoding: value).text.utf8)
        let checksum = hexadecimal(unsafe chost_crc32c(0, body, body.count))
        let header = "\(magic) \(SnapshotVersion.current) crc32c=\(checksum) bytes=\(body.count)\n"
        return Array(header.utf8) + body
    }

    /// Reads the value behind a text.
    ///
    /// - Parameters:
    ///   - text: May come from anybody.
    ///   - type: The type of the value.
    ///   - path: The file, for messages.
    /// - Returns: The value.
    /// - Throws: `notASnapshot`, `version` or `damaged`.
    package static func value<Value: Decodable>(
        of text: [UInt8],
        as type: Value.Type,
        path: FilePath
    ) throws(SnapshotError) -> Value {
        let json = try json(of: text, path: path)
        do {
            return try json.decode(as: type)
        } catch {
            throw .damaged(path, reason: "\(error)")
        }
    }

    /// Reads which version the file of a state has, be it one that this Martlet reads or not.
    ///
    /// - Parameter path: The file.
    /// - Returns: The version.
    /// - Throws: `notASnapshot`, also where the file cannot be read.
    package static func version(of path: FilePath) throws(SnapshotError) -> SnapshotVersion {
        let text: [UInt8]
        do {
            text = try FileContents.bytes(of: path, limit: sizeLimit)
        } catch {
            throw .notASnapshot(path, reason: "\(error)")
        }
        let line = text.prefix(headerLimit).prefix { $0 != UInt8(ascii: "\n") }
        return try version(
            String(decoding: line, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false),
            path
        )
    }

    private static func version(_ words: [Substring], _ path: FilePath) throws(SnapshotError) -> SnapshotVersion {
        guard words.first == magic[...], words.count == 4, let version = SnapshotVersion(words[1]) else {
            throw .notASnapshot(path, reason: "it does not begin with '\(magic)' and a version")
        }
        return version
    }

    /// Reads the JSON behind a text.
    ///
    /// - Parameters:
    ///   - text: May come from anybody.
    ///   - path: The file, for messages.
    /// - Returns: The JSON, of which nothing is known but its syntax.
    /// - Throws: `notASnapshot`, `version` or `damaged`.
    static func json(of text: [UInt8], path: FilePath) throws(SnapshotError) -> JSONValue {
        let line = text.prefix(headerLimit).prefix { $0 != UInt8(ascii: "\n") }
        let words = String(decoding: line, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        let version = try version(words, path)
        guard version.isReadable else { throw .version(major: version.major, minor: version.minor) }
        let body = Array(text.dropFirst(line.count + 1))
        guard words[3] == "bytes=\(body.count)" else {
            throw .damaged(
                path,
                reason:
                    "it has \(body.count) bytes of JSON, its first line says '\(printable(String(words[3].prefix(40))))'"
            )
        }
        guard words[2] == "crc32c=\(hexadecimal(unsafe chost_crc32c(0, body, body.count)))" else {
            throw .damaged(path, reason: "its checksum is another one than its first line says")
        }
        do {
            return try JSONValue(parsing: body)
        } catch {
            throw .damaged(path, reason: "\(error)")
        }
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

extension SnapshotVersion {
    /// Reads `MAJOR.MINOR`, each of at most four digits.
    init?(_ text: Substring) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2,
            parts.allSatisfy({ $0.count <= 4 && $0.allSatisfy(\.isASCII) && $0.allSatisfy(\.isNumber) }),
            let major = Int(parts[0]), let minor = Int(parts[1])
        else { return nil }
        self.init(major: major, minor: minor)
    }
}
