// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A range of this process's addresses, and what of it is in the host's memory (proc(5), /proc/PID/smaps).
struct MemoryMapping {
    let range: Range<UInt64>
    private(set) var residentByteCount: UInt64 = 0

    /// All of this process, in the order of addresses; `nil` where the host does not tell.
    static func all() -> [MemoryMapping]? {
        guard let file = unsafe fopen("/proc/self/smaps", "re") else { return nil }
        defer { unsafe fclose(file) }
        var mappings: [MemoryMapping] = []
        var buffer = [CChar](repeating: 0, count: 4096)
        while unsafe fgets(&buffer, CInt(buffer.count), file) != nil {
            // Two of some twenty lines for each mapping: its first one, which begins with a digit from 0 to f, and Rss.
            guard
                buffer[0] < CChar(UInt8(ascii: ":")) || buffer[0] >= CChar(UInt8(ascii: "a"))
                    || buffer[1] == CChar(UInt8(ascii: "s"))
            else { continue }
            let bytes = buffer.prefix { $0 != 0 && $0 != CChar(UInt8(ascii: "\n")) }.map(UInt8.init(bitPattern:))
            let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ", maxSplits: 5)
            if let mapping = MemoryMapping(firstLine: fields) {
                mappings.append(mapping)
            } else if fields.count > 1, let kibibytes = UInt64(fields[1]), !mappings.isEmpty {
                if fields[0] == "Rss:" { mappings[mappings.count - 1].residentByteCount = kibibytes << 10 }
            }
        }
        return mappings
    }

    /// - Parameter fields: Of `7f0000001000-7f0000021000 r-xp 00000000 08:01 1234   /bin/a`; of any other line, `nil`.
    private init?(firstLine fields: [Substring]) {
        guard fields.count >= 5 else { return nil }
        let ends = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
        guard ends.count == 2, ends[0] < ends[1] else { return nil }
        range = ends[0]..<ends[1]
    }
}
