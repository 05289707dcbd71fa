// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What of the program's file is mapped: its text, and constants.
package enum ProgramText {
    /// Gives the host back the pages that were needed to configure, load and start a machine.
    ///
    /// They were never written, so what running needs of them comes back from the page cache, some pages at a time.
    package static func release() {
        for mapping in MemoryMapping.all() ?? [] where mapping.isUnwrittenFile {
            // A hint: where it is not taken, nothing is lost.
            unsafe madvise(
                UnsafeMutableRawPointer(bitPattern: UInt(mapping.range.lowerBound)),
                mapping.range.count,
                MADV_DONTNEED
            )
        }
    }
}

extension MemoryMapping {
    /// A file that cannot be written through the mapping and of which no page was, by relocation either.
    fileprivate var isUnwrittenFile: Bool {
        name.hasPrefix("/") && permissions.hasPrefix("r-") && anonymousByteCount == 0
    }
}
