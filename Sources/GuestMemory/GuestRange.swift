// SPDX-License-Identifier: Apache-2.0

/// Bytes of guest physical memory, as a guest names them: not checked yet.
package struct GuestRange: Hashable, Sendable {
    package var address: GuestAddress
    package var byteCount: UInt32

    @inlinable
    package init(address: GuestAddress, byteCount: UInt32) {
        self.address = address
        self.byteCount = byteCount
    }
}
