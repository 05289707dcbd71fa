// SPDX-License-Identifier: Apache-2.0

import CHost
import Host
import SystemPackage

/// The first line of the file `state`.
struct StateHeader {
    static let lengthLimit = 160
    private static let magic = "martlet-snapshot"

    let version: SnapshotVersion
    let json: Part
    let console: Part

    /// Bytes of the file; the parts follow each other.
    struct Part: Equatable {
        let byteCount: Int
        let checksum: UInt32

        init(_ bytes: [UInt8]) {
            (byteCount, checksum) = (bytes.count, unsafe chost_crc32c(0, bytes, bytes.count))
        }

        fileprivate init?(checksum: Substring, byteCount: Substring) {
            guard let checksum = UInt32(checksum, radix: 16), let byteCount = Int(byteCount),
                0...StateFile.sizeLimit ~= byteCount
            else { return nil }
            (self.byteCount, self.checksum) = (byteCount, checksum)
        }

        fileprivate func words(_ prefix: String) -> String {
            let digits = String(checksum, radix: 16)
            let zeros = String(repeating: "0", count: 8 - digits.count)
            return " \(prefix)crc32c=\(zeros)\(digits) \(prefix)bytes=\(byteCount)"
        }
    }

    /// Makes the line of a new file.
    init(json: Part, console: Part) {
        (version, self.json, self.console) = (.current, json, console)
    }

    /// Reads the line.
    ///
    /// - Parameters:
    ///   - start: The first `lengthLimit` bytes of a file, which may come from anybody.
    ///   - path: The file, for messages.
    /// - Throws: `notASnapshot`, `version` or `damaged`.
    init(_ start: [UInt8], path: FilePath) throws(SnapshotError) {
        let text = Self.text(start)
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        let version = try Self.version(words, path)
        guard version.isReadable else { throw .version(major: version.major, minor: version.minor) }
        func part(_ index: Int) -> Part? {
            guard index + 1 < words.count else { return nil }
            func value(_ word: Substring) -> Substring { word.drop { $0 != "=" }.dropFirst() }
            return Part(checksum: value(words[index]), byteCount: value(words[index + 1]))
        }
        self.version = version
        json = part(2) ?? Part([])
        console = part(4) ?? Part([])
        // One line for each value: whatever else is in it is damage.
        guard text == line, text.utf8.count < start.count else {
            throw .damaged(path, reason: "its first line is '\(printable(String(text.prefix(80))))'")
        }
    }

    private static func text(_ start: [UInt8]) -> String {
        String(decoding: start.prefix(lengthLimit).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    /// The version of a file, which may come from anybody.
    static func version(_ start: [UInt8], _ path: FilePath) throws(SnapshotError) -> SnapshotVersion {
        try version(text(start).split(separator: " ", omittingEmptySubsequences: false), path)
    }

    private static func version(_ words: [Substring], _ path: FilePath) throws(SnapshotError) -> SnapshotVersion {
        guard words != [""] else { throw .notASnapshot(path, reason: StateFile.emptiness) }
        guard words.first.map({ $0 == magic }) == true, words.count >= 4, let version = SnapshotVersion(words[1]) else {
            throw .notASnapshot(path, reason: "it does not begin with '\(magic)' and a version")
        }
        return version
    }

    /// The line, without its end.
    ///
    /// Version 1.0 has the console in the JSON.
    var line: String {
        "\(Self.magic) \(version)\(json.words(""))" + (version.minor == 0 ? "" : console.words("console_"))
    }

    /// The place of the JSON in the file; the console's bytes follow it.
    var jsonOffset: Int { line.utf8.count + 1 }

    /// The size of the whole file.
    var fileByteCount: Int { jsonOffset + json.byteCount + console.byteCount }
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
