// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// The resources of one machine that devices and memory share: each request gets the next that is free.
///
/// The order of the requests decides the addresses, so a machine of the same description has the same ones each time.
/// `X86Layout` documents where each kind comes from.
package struct PlatformResources: Hashable, Sendable {
    private var windows = AddressAllocator(X86Layout.virtioMMIO..<X86Layout.endOfVirtioMMIO)
    private var freeGSIs = X86Layout.deviceGSIs[...]
    private var nextMemorySlot: UInt32 = 0

    package init() {}

    /// Takes a window for the registers of a virtio-mmio transport.
    ///
    /// - Returns: Its start, or `nil` where none is left.
    package mutating func allocateWindow() -> GuestAddress? {
        windows.allocate(byteCount: X86Layout.virtioMMIOWindow)
    }

    /// Takes an interrupt line.
    ///
    /// - Returns: Its number, or `nil` where none is left.
    package mutating func allocateGSI() -> UInt32? { freeGSIs.popFirst() }

    /// Takes the number of a KVM memory slot.
    package mutating func allocateMemorySlot() -> UInt32 {
        defer { nextMemorySlot += 1 }
        return nextMemorySlot
    }
}
