// SPDX-License-Identifier: Apache-2.0

import Host

/// Takes a tar archive apart while it arrives: ustar, pax (POSIX.1-2001) and GNU's long names.
///
/// The archive may be hostile: numbers are checked, and memory use is bounded. Paths are the
/// sink's to judge.
package struct TarReader<Sink: TarSink> {
    private static var blockByteCount: Int { 512 }
    /// The most bytes of pax records or of a long name.
    private static var extensionLimit: Int64 { 1 << 20 }

    private enum State {
        case header
        /// Bytes of a file, and then of padding.
        case data(Int64, padding: Int)
        /// Bytes that describe the next entry.
        case extensionData(UInt8, Int64, padding: Int)
        /// After the two blocks of zeroes nothing counts.
        case ended
    }

    package var sink: Sink
    private var state = State.header
    private var buffer: [UInt8] = []
    private var collected: [UInt8] = []
    private var extensions: [String: [UInt8]] = [:]
    /// The bytes that describe the next entry so far.
    private var extensionByteCount: Int64 = 0
    private var entryCount = 0
    private let entryLimit: Int

    package init(_ sink: Sink, entryLimit: Int = 2_000_000) {
        (self.sink, self.entryLimit) = (sink, entryLimit)
    }

    /// Takes the next bytes of the archive.
    package mutating func append(_ bytes: ArraySlice<UInt8>) throws(ImageError) {
        var rest = bytes
        while !rest.isEmpty {
            switch state {
            case .ended: return
            case .header:
                let count = min(rest.count, Self.blockByteCount - buffer.count)
                buffer += rest.prefix(count)
                rest = rest.dropFirst(count)
                guard buffer.count == Self.blockByteCount else { return }
                defer { buffer = [] }
                try readHeader(buffer)
            case .data(let left, let padding):
                let count = Int(min(Int64(rest.count), left))
                if count > 0 { try sink.append(rest.prefix(count)) }
                rest = rest.dropFirst(count)
                guard left == Int64(count) else {
                    state = .data(left - Int64(count), padding: padding)
                    continue
                }
                let skipped = min(rest.count, padding)
                rest = rest.dropFirst(skipped)
                state = skipped == padding ? .header : .data(0, padding: padding - skipped)
                if skipped == padding { try sink.finish() }
            case .extensionData(let type, let left, let padding):
                let count = Int(min(Int64(rest.count), left))
                collected += rest.prefix(count)
                rest = rest.dropFirst(count)
                let skipped = left == Int64(count) ? min(rest.count, padding) : 0
                rest = rest.dropFirst(skipped)
                guard left == Int64(count), skipped == padding else {
                    state = .extensionData(type, left - Int64(count), padding: padding - skipped)
                    continue
                }
                state = .header
                try readExtension(type)
            }
        }
    }

    /// Ends the archive.
    package mutating func finish() throws(ImageError) {
        switch state {
        case .ended: return
        // Some writers leave out the blocks of zeroes.
        case .header where buffer.isEmpty && entryCount > 0: return
        default: throw ImageError("the archive ends too early")
        }
    }

    // MARK: - Headers

    private mutating func readHeader(_ block: [UInt8]) throws(ImageError) {
        guard block.contains(where: { $0 != 0 }) else { return state = .ended }
        let sum = block.indices.reduce(0) { $0 + Int((148..<156).contains($1) ? 0x20 : block[$1]) }
        guard try number(block[148..<156]) == Int64(sum) else { throw ImageError("it is not a tar archive") }
        let byteCount = try number(block[124..<136])
        let padding = Int((512 - byteCount % 512) % 512)
        let type = block[156]
        if [UInt8(ascii: "x"), UInt8(ascii: "g"), UInt8(ascii: "L"), UInt8(ascii: "K")].contains(type) {
            guard byteCount <= Self.extensionLimit - extensionByteCount else {
                throw ImageError("a file's name or attributes are too long")
            }
            extensionByteCount += byteCount
            collected = []
            state = .extensionData(type, byteCount, padding: padding)
            if byteCount == 0 {
                state = .header
                try readExtension(type)
            }
            return
        }
        entryCount += 1
        guard entryCount <= entryLimit else { throw ImageError("more than \(entryLimit) files") }
        defer { (extensions, extensionByteCount) = ([:], 0) }
        try begin(block, type, byteCount)
    }

    private mutating func begin(_ block: [UInt8], _ type: UInt8, _ headerByteCount: Int64) throws(ImageError) {
        let byteCount = try extended("size") ?? headerByteCount
        guard extensions.keys.allSatisfy({ !$0.hasPrefix("GNU.sparse") }), type != UInt8(ascii: "S") else {
            throw ImageError("the archive has a sparse file, which images cannot have")
        }
        var path = text(block[0..<100])
        let isUSTAR = block[257..<263].elementsEqual("ustar\0".utf8)
        if isUSTAR, block[345] != 0 { path = text(block[345..<500]) + "/" + path }
        path = extensions["path"].map { String(hostBytes: $0) } ?? path
        let target = extensions["linkpath"].map { String(hostBytes: $0) } ?? text(block[157..<257])
        guard !path.utf8.contains(0), !target.utf8.contains(0) else {
            throw ImageError("'\(printable(path))' has a zero byte in its name")
        }
        let major = UInt32(truncatingIfNeeded: try number(block[329..<337]))
        let minor = UInt32(truncatingIfNeeded: try number(block[337..<345]))
        let kind: TarEntry.Kind? =
            switch type {
            // Old archives mark a folder by its name.
            case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): path.utf8.last == UInt8(ascii: "/") ? .folder : .file
            case UInt8(ascii: "1"): .hardLink(to: target)
            case UInt8(ascii: "2"): .symbolicLink(to: target)
            case UInt8(ascii: "3"): .characterDevice(major: major, minor: minor)
            case UInt8(ascii: "4"): .blockDevice(major: major, minor: minor)
            case UInt8(ascii: "5"): .folder
            case UInt8(ascii: "6"): .pipe
            default: nil
            }
        guard let kind else { throw ImageError("'\(printable(path))' is of an unknown kind (\(type))") }
        // Only files have data; some writers give links the size of their target.
        let dataByteCount = kind == .file ? byteCount : 0
        var entry = TarEntry(
            path: path,
            kind: kind,
            mode: UInt32(truncatingIfNeeded: try number(block[100..<108])) & 0o7777,
            user: UInt32(truncatingIfNeeded: try field("uid", block[108..<116])),
            group: UInt32(truncatingIfNeeded: try field("gid", block[116..<124])),
            time: try field("mtime", block[136..<148]),
            byteCount: dataByteCount
        )
        for (name, value) in extensions where name.hasPrefix("SCHILY.xattr.") {
            entry.attributes.append(TarEntry.Attribute(name: String(name.dropFirst(13)), value: value))
        }
        entry.attributes.sort { $0.name < $1.name }
        try sink.begin(entry)
        state = .data(dataByteCount, padding: Int((512 - dataByteCount % 512) % 512))
        if dataByteCount == 0 {
            state = .header
            try sink.finish()
        }
    }

    // MARK: - Fields

    private func text(_ field: ArraySlice<UInt8>) -> String {
        String(hostBytes: Array(field.prefix { $0 != 0 }))
    }

    /// A number: octal digits, or GNU's base 256 for large ones.
    private func number(_ field: ArraySlice<UInt8>) throws(ImageError) -> Int64 {
        var value: Int64 = 0
        if let first = field.first, first & 0x80 != 0 {
            guard first == 0x80 else { throw ImageError("a number in the archive is negative or too large") }
            for byte in field.dropFirst() {
                guard value <= Int64.max >> 8 else { throw ImageError("a number in the archive is too large") }
                value = value << 8 | Int64(byte)
            }
            return value
        }
        for byte in field.drop(while: { $0 == 0x20 }) {
            if byte == 0 || byte == 0x20 { break }
            guard (0x30..<0x38).contains(byte), value <= Int64.max >> 3 else {
                throw ImageError("a number in the archive is malformed")
            }
            value = value << 3 | Int64(byte - 0x30)
        }
        return value
    }

    /// A number of a pax record; fractions of seconds are left out.
    private func extended(_ name: String) throws(ImageError) -> Int64? {
        guard let bytes = extensions[name] else { return nil }
        let digits = String(decoding: bytes, as: UTF8.self).prefix { $0 != "." }
        guard let value = Int64(digits), value >= 0 || name == "mtime" else {
            throw ImageError("a pax record '\(name)' of the archive is not a number")
        }
        return value
    }

    /// A number that a pax record may give in place of the header.
    private func field(_ name: String, _ bytes: ArraySlice<UInt8>) throws(ImageError) -> Int64 {
        if let value = try extended(name) { return value }
        return try number(bytes)
    }

    /// Takes the collected fields of the next entry.
    private mutating func readExtension(_ type: UInt8) throws(ImageError) {
        defer { collected = [] }
        switch type {
        case UInt8(ascii: "L"): extensions["path"] = Array(collected.prefix { $0 != 0 })
        case UInt8(ascii: "K"): extensions["linkpath"] = Array(collected.prefix { $0 != 0 })
        case UInt8(ascii: "g"): break  // of the whole archive: comments, in practice
        default:
            // Records: `LENGTH NAME=VALUE\n`, where LENGTH counts all of it.
            var rest = collected[...]
            while !rest.isEmpty {
                guard let space = rest.firstIndex(of: 0x20),
                    let length = Int(String(decoding: rest[..<space], as: UTF8.self)),
                    length > space - rest.startIndex + 2, length <= rest.count,
                    rest[rest.startIndex + length - 1] == 0x0a
                else { throw ImageError("the pax records of the archive are damaged") }
                let record = rest[(space + 1)..<(rest.startIndex + length - 1)]
                guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else {
                    throw ImageError("the pax records of the archive are damaged")
                }
                extensions[String(hostBytes: Array(record[..<equals]))] = Array(record[(equals + 1)...])
                rest = rest.dropFirst(length)
            }
        }
    }
}
