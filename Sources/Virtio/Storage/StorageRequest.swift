// SPDX-License-Identifier: Apache-2.0

package import CStorage
package import SystemPackage

/// One order to a disk; a device makes as many as it may have in flight, and fills them again and again.
///
/// A value, because counting references and checking for other users was a fifth of a small read. From
/// `submit` to the completion the memory of `vectors` belongs to the engine, and nobody else touches it.
@safe
package struct StorageRequest {
    package enum Operation: Sendable {
        /// Fills the vectors from the disk.
        case read
        /// Writes the vectors to the disk; when `isDurable`, it is complete only on stable storage (`RWF_DSYNC`).
        case write(isDurable: Bool)
        /// Brings all writes that were complete before to stable storage.
        case flush
        /// Says that nobody needs the bytes of the range any more; they read as anything afterwards.
        case discard
        /// Makes the bytes of the range zero; `mayUnmap` says that they need no space.
        case writeZeroes(mayUnmap: Bool)
    }

    /// The identity for its owner and its completion: an index below the engine's capacity, used by one request at a time.
    package let slot: Int
    package var operation = Operation.flush
    /// The offset on the disk, in bytes.
    package var offset: UInt64 = 0
    /// The size of the range in bytes; for reads and writes the sum of the vectors.
    package var byteCount: UInt64 = 0
    /// Host memory, for reads and writes only; valid until the request is complete.
    package var vectors: [iovec] = unsafe []

    package init(slot: Int) {
        self.slot = slot
    }
}

/// The result of a request: complete, with or without an error of the host.
package struct StorageCompletion: Sendable {
    package let slot: Int
    /// The error, or `nil` when all of it was done; data that ends early, as in a truncated file, is `ioError`.
    package let error: Errno?

    package init(slot: Int, error: Errno?) {
        self.slot = slot
        self.error = error
    }
}
