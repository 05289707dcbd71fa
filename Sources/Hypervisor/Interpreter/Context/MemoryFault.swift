// SPDX-License-Identifier: Apache-2.0

/// A guest-linear access that the context could not make.
package struct MemoryFault: Error, Hashable, Sendable {
    /// The reason why an access failed.
    package enum Cause: Hashable, Sendable {
        /// No translation: the page is not present.
        case notPresent
        /// The page is present, but its rights forbid the access.
        case protection
        /// A paging entry has a reserved bit set.
        case reservedBit
        /// The page is present, but does not map RAM. Not a fault of the guest: the emulator stops.
        case notMemory
    }

    /// The first linear address that failed.
    package var address: UInt64
    /// Indicates whether the access was a write.
    package var isWrite: Bool
    /// The cause of the failure.
    package var cause: Cause

    /// Describes a failed access.
    package init(address: UInt64, isWrite: Bool, cause: Cause = .notPresent) {
        self.address = address
        self.isWrite = isWrite
        self.cause = cause
    }
}
