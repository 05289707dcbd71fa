// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What of the program's file is mapped: its text, and constants.
package enum ProgramText {
    /// Gives the host back the pages that were needed to configure, load and start a machine.
    ///
    /// They were never written, so what running needs of them comes back from the page cache, some pages at a time.
    package static func release() {
        for range in unwrittenRanges() {
            // A hint: where it is not taken, nothing is lost.
            unsafe madvise(UnsafeMutableRawPointer(bitPattern: range.lowerBound), range.count, MADV_DONTNEED)
        }
    }

    /// Mappings of files that cannot be written and of which no page was, by relocation either (proc(5),
    /// /proc/PID/smaps).
    private static func unwrittenRanges() -> [Range<UInt>] {
        guard let file = unsafe fopen("/proc/self/smaps", "re") else { return [] }
        defer { unsafe fclose(file) }
        var ranges: [Range<UInt>] = []
        var candidate: Range<UInt>?
        var line = [CChar](repeating: 0, count: 4096)
        while unsafe fgets(&line, CInt(line.count), file) != nil {
            let bytes = line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
            let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
            if let range = range(ofMapping: fields[0]) {
                let isOfFile = fields.count > 5 && fields[5].hasPrefix("/")
                candidate = isOfFile && fields[1].hasPrefix("r-") ? range : nil
            } else if fields[0] == "Anonymous:", fields.count > 1, fields[1] == "0", let range = candidate {
                ranges.append(range)
            }
        }
        return ranges
    }

    /// The addresses in `7f0000001000-7f0000021000`, with which the lines of a mapping begin.
    private static func range(ofMapping field: Substring) -> Range<UInt>? {
        let ends = field.split(separator: "-").compactMap { UInt($0, radix: 16) }
        return ends.count == 2 && ends[0] < ends[1] ? ends[0]..<ends[1] : nil
    }
}
