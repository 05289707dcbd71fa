// SPDX-License-Identifier: Apache-2.0

import Host
package import JSON
package import SystemPackage

/// The file `state` of a snapshot: one line with the version and checksums, JSON, and the guest's console output.
///
///     martlet-snapshot 1.2 crc32c=89abcdef bytes=12345 console_crc32c=01234567 console_bytes=40960
///     {"id": …
///
/// The console's bytes are not in the JSON, because they are most of the file and only a console with viewers wants them.
package enum StateFile {
    /// The largest size in bytes: checksums of 2 TiB of memory, and 64 vCPUs, have room.
    package static let sizeLimit = 16 << 20

    /// Makes the text of a value.
    ///
    /// `console` is the last bytes that the guest sent.
    package static func text(of value: some Encodable, console: [UInt8] = []) throws(JSONError) -> [UInt8] {
        let json = Array(try JSONValue(encoding: value).text.utf8)
        let header = StateHeader(json: .init(json), console: .init(console))
        return Array("\(header.line)\n".utf8) + json + console
    }

    /// The reason why a file that has nothing, or nothing in its first line, is not a snapshot.
    package static let emptiness = "it is empty"

    /// Reads which version a file has, be it one that this Martlet reads or not.
    ///
    /// - Throws: `notASnapshot`, also where the file cannot be read.
    package static func version(of path: FilePath) throws(SnapshotError) -> SnapshotVersion {
        let text: [UInt8]
        do {
            text = try FileContents.bytes(of: path, limit: sizeLimit)
        } catch {
            throw .notASnapshot(path, reason: "\(error)")
        }
        return try StateHeader.version(text, path)
    }

    /// A part of a file.
    package enum Part {
        case json
        case console
    }

    /// Reads a part of a file, which may come from anybody.
    ///
    /// - Parameters:
    ///   - part: The part.
    ///   - path: The file, for messages.
    ///   - byteCount: Its size.
    ///   - read: Reads as many bytes of it from an offset.
    /// - Returns: The bytes; none of a console that a snapshot of version 1.0 has in its JSON.
    /// - Throws: `notASnapshot`, `version` or `damaged`, and what `read` throws.
    package static func bytes(
        of part: Part,
        _ path: FilePath,
        byteCount: UInt64,
        read: (_ offset: Int, _ count: Int) throws(SnapshotError) -> [UInt8]
    ) throws(SnapshotError) -> [UInt8] {
        guard byteCount <= sizeLimit else {
            throw .damaged(path, reason: "it has \(byteCount) bytes, more than \(sizeLimit)")
        }
        let start = try read(0, min(Int(byteCount), StateHeader.lengthLimit))
        let header = try StateHeader(start, path: path)
        guard header.fileByteCount == Int(byteCount) else {
            throw .damaged(path, reason: "it has \(byteCount) bytes, its first line says \(header.fileByteCount)")
        }
        let (offset, expected) =
            switch part {
            case .json: (header.jsonOffset, header.json)
            case .console: (header.jsonOffset + header.json.byteCount, header.console)
            }
        let bytes = try read(offset, expected.byteCount)
        guard StateHeader.Part(bytes) == expected else {
            throw .damaged(path, reason: "its checksum differs from the one in its first line")
        }
        return bytes
    }

    /// Reads the value in the JSON of a file.
    ///
    /// `json` may come from anybody; `path` is for messages.
    package static func value<Value: Decodable>(
        of json: [UInt8],
        as type: Value.Type,
        path: FilePath
    ) throws(SnapshotError) -> Value {
        let json = try self.json(of: json, path: path)
        do throws(JSONError) {
            return try json.decode(as: type)
        } catch {
            throw .damaged(path, reason: "\(error)")
        }
    }

    /// Reads JSON of which nothing is known but its syntax.
    static func json(of json: [UInt8], path: FilePath) throws(SnapshotError) -> JSONValue {
        do throws(JSONError) {
            return try JSONValue(parsing: json)
        } catch {
            throw .damaged(path, reason: "\(error)")
        }
    }
}
