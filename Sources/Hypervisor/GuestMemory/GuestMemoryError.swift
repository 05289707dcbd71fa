// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// The reason why guest memory could not be made or reached.
package enum GuestMemoryError: Error, Hashable, CustomStringConvertible {
    /// The bytes `address ..< address + byteCount` are not all guest RAM.
    case outOfRange(GuestAddress, byteCount: UInt64)
    /// A region starts or ends off a page boundary, is empty, or leaves the address space.
    case badRegion(GuestAddress, byteCount: UInt64)
    /// Two regions share an address.
    case overlap(GuestAddress)
    /// The host refused to map or advise memory for the guest.
    case host(operation: String, byteCount: UInt64, Errno)
    /// A file ended before all the bytes that were asked for.
    case endOfFile(missing: UInt64)

    package var description: String {
        switch self {
        case .outOfRange(let address, let byteCount):
            "\(byteCount) bytes at guest physical address \(address) are not all guest memory"
        case .badRegion(let address, let byteCount):
            "a guest memory region of \(byteCount) bytes at \(address) is empty, unaligned or too large"
        case .overlap(let address):
            "two guest memory regions overlap at \(address)"
        case .host(let operation, let byteCount, let errno):
            "\(operation) of \(byteCount) bytes of guest memory: \(errno)"
        case .endOfFile(let missing):
            "the file ended \(missing) bytes early"
        }
    }
}
