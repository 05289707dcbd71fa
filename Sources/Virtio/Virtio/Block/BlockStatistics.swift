// SPDX-License-Identifier: Apache-2.0

/// What a block device has done since it was made.
package struct BlockStatistics: Hashable, Sendable {
    /// Requests that were answered, by kind; those that failed are among them.
    package var reads: UInt64 = 0
    package var writes: UInt64 = 0
    package var flushes: UInt64 = 0
    /// Discards and write-zeroes.
    package var discards: UInt64 = 0
    /// Of requests that did not fail.
    package var bytesRead: UInt64 = 0
    package var bytesWritten: UInt64 = 0
    /// Requests that were answered with an error.
    package var failures: UInt64 = 0
    /// Requests that the rate limit held back.
    package var throttled: UInt64 = 0

    package init() {}

    /// Counts a request that is answered.
    mutating func count(_ kind: BlockRequestHeader.Kind?, byteCount: UInt64, _ status: BlockRequestStatus) {
        if status == .ok {
            count(kind, byteCount: byteCount)
        } else {
            failures += 1
            count(kind, byteCount: 0)
        }
    }

    private mutating func count(_ kind: BlockRequestHeader.Kind?, byteCount: UInt64) {
        switch kind {
        case .read:
            reads += 1
            bytesRead += byteCount
        case .write:
            writes += 1
            bytesWritten += byteCount
        case .flush: flushes += 1
        case .discard, .writeZeroes: discards += 1
        case .getID, nil: break
        }
    }
}
