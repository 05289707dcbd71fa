// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage

/// How much of this process is in the host's memory, the guest's part apart (proc(5), /proc/PID/smaps).
///
/// As Firecracker counts: all mappings that are not guest memory, program text and shared pages included.
struct ResidentMemory {
    /// In bytes, as the next.
    private(set) var overheadByteCount: UInt64 = 0
    private(set) var guestByteCount: UInt64 = 0

    /// `nil` where the host does not tell.
    ///
    /// - Parameter guestRanges: Where guest memory is mapped in this process.
    init?(guestRanges: [Range<UInt64>]) {
        guard let file = unsafe fopen("/proc/self/smaps", "re") else { return nil }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 4096)
        var isGuest = false
        while unsafe fgets(&line, CInt(line.count), file) != nil {
            let fields = line.prefix { $0 != 0 }.split(separator: CChar(UInt8(ascii: " ")))
            guard let first = fields.first.map(Self.text) else { continue }
            if let start = Self.start(ofMapping: first) {
                isGuest = guestRanges.contains { $0.contains(start) }
            } else if first == "Rss:", fields.count > 1, let count = UInt64(Self.text(fields[1])) {
                if isGuest { guestByteCount += count << 10 } else { overheadByteCount += count << 10 }
            }
        }
    }

    private static func text(_ field: ArraySlice<CChar>) -> String {
        String(decoding: field.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The first address in `7f0000000000-7f0000021000`, with which the lines of a mapping begin.
    private static func start(ofMapping field: String) -> UInt64? {
        field.firstIndex(of: "-").flatMap { UInt64(field[..<$0], radix: 16) }
    }
}
