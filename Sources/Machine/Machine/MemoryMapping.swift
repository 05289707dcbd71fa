// SPDX-License-Identifier: Apache-2.0

import Host
import Synchronization
import SystemPackage

/// A range of this process's addresses, and what of it is in the host's memory (proc(5), /proc/PID/smaps).
struct MemoryMapping {
    let range: Range<UInt64>
    private(set) var residentByteCount: UInt64 = 0

    /// All of this process, in the order of addresses; `nil` where the host does not tell.
    static func all() -> [MemoryMapping]? {
        guard let file = ProcessFiles.mappings else { return nil }
        // The kernel continues the text for a reader at the last reader's offset; for any other it starts again at the beginning.
        return reading.withLock { _ in all(file) }
    }

    private static let reading = Mutex(())

    private static func all(_ file: FileDescriptor) -> [MemoryMapping] {
        var mappings: [MemoryMapping] = []
        var (offset, rest): (UInt64, ArraySlice<UInt8>) = (0, [])
        while let some = try? file.bytes(count: 16 << 10, at: offset), !some.isEmpty {
            offset += UInt64(some.count)
            rest += some
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                add(rest[..<end], to: &mappings)
                rest = rest[(end + 1)...]
            }
        }
        return mappings
    }

    private static func add(_ line: ArraySlice<UInt8>, to mappings: inout [MemoryMapping]) {
        // Two of some twenty lines for each mapping: its first one, which begins with a digit from 0 to f, and Rss.
        guard let first = line.first,
            first < UInt8(ascii: ":") || first >= UInt8(ascii: "a") || line.starts(with: "Rss:".utf8)
        else { return }
        let fields = String(decoding: line, as: UTF8.self).split(separator: " ", maxSplits: 5)
        if let mapping = MemoryMapping(firstLine: fields) {
            mappings.append(mapping)
        } else if fields.count > 1, let kibibytes = UInt64(fields[1]), !mappings.isEmpty {
            mappings[mappings.count - 1].residentByteCount = kibibytes << 10
        }
    }

    /// - Parameter fields: Of `7f0000001000-7f0000021000 r-xp 00000000 08:01 1234   /bin/a`; of any other line, `nil`.
    private init?(firstLine fields: [Substring]) {
        guard fields.count >= 5 else { return nil }
        let ends = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
        guard ends.count == 2, ends[0] < ends[1] else { return nil }
        range = ends[0]..<ends[1]
    }
}
