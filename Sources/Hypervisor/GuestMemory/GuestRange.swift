// SPDX-License-Identifier: Apache-2.0

/// Bytes of guest physical memory, as a guest names them: not checked yet.
public struct GuestRange: Hashable, Sendable {
    public var address: GuestAddress
    public var byteCount: UInt32

    @inlinable
    public init(address: GuestAddress, byteCount: UInt32) {
        self.address = address
        self.byteCount = byteCount
    }
}
