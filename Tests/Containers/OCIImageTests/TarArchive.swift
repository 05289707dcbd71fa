// SPDX-License-Identifier: Apache-2.0

import OCIImage

/// Writes tar archives, also ones that no program would write.
struct TarArchive {
    private(set) var bytes: [UInt8] = []

    mutating func add(
        _ path: String,
        type: Character = "0",
        contents: [UInt8] = [],
        target: String = "",
        mode: UInt32 = 0o644,
        user: UInt32 = 0,
        size: String? = nil
    ) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            for (index, byte) in text.utf8.enumerated() { header[offset + index] = byte }
        }
        func octal(_ number: Int, _ digits: Int) -> String {
            let text = String(number, radix: 8)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        put(path, at: 0)
        put(octal(Int(mode), 7), at: 100)
        put(octal(Int(user), 7), at: 108)
        put(octal(0, 7), at: 116)
        put(size ?? octal(contents.count, 11), at: 124)
        put(octal(1000, 11), at: 136)
        put("        ", at: 148)
        put(String(type), at: 156)
        put(target, at: 157)
        put("ustar\u{0}00", at: 257)
        let sum = header.reduce(0) { $0 + Int($1) }
        put(octal(sum, 6) + "\0 ", at: 148)
        bytes += header + contents + [UInt8](repeating: 0, count: (512 - contents.count % 512) % 512)
    }

    /// Adds pax records for the next file.
    mutating func addRecords(_ records: [(String, String)]) {
        var text = ""
        for (name, value) in records {
            let rest = " \(name)=\(value)\n"
            var length = rest.utf8.count + 1
            while "\(length)".utf8.count + rest.utf8.count != length { length += 1 }
            text += "\(length)\(rest)"
        }
        add("pax", type: "x", contents: Array(text.utf8))
    }

    var whole: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}

/// Notes what an archive has.
struct RecordingSink: TarSink {
    var entries: [TarEntry] = []
    var contents: [[UInt8]] = []

    mutating func begin(_ entry: TarEntry) {
        entries.append(entry)
        contents.append([])
    }

    mutating func append(_ bytes: ArraySlice<UInt8>) { contents[contents.count - 1] += bytes }

    mutating func finish() {}
}
