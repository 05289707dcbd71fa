// SPDX-License-Identifier: Apache-2.0

/// The place of a table of segment descriptors: the GDT or the LDT.
package struct DescriptorTable: Hashable, Sendable {
    /// The linear address of the first byte.
    package var base: UInt64
    /// The offset of the last byte; a missing LDT has limit 0.
    package var limit: UInt32

    /// Describes a table.
    package init(base: UInt64, limit: UInt32) {
        self.base = base
        self.limit = limit
    }
}
