// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Platform
import Testing

@Suite struct PlatformResourcesTests {
    @Test func `windows are aligned, disjoint, and end with the range`() {
        var allocator = AddressAllocator(0x1800..<0x5000)
        #expect(allocator.allocate(byteCount: 0x1000) == 0x2000)
        #expect(allocator.allocate(byteCount: 0x200) == 0x3000)
        #expect(allocator.allocate(byteCount: 0x1000) == 0x4000)
        #expect(allocator.allocate(byteCount: 1) == nil)
    }

    @Test func `a range that ends with the address space overflows nowhere`() {
        var allocator = AddressAllocator(GuestAddress(rawValue: .max - 10)..<GuestAddress(rawValue: .max))
        #expect(allocator.allocate(byteCount: 1 << 20) == nil)
        #expect(allocator.allocate(byteCount: 4) == GuestAddress(rawValue: .max - 7))
        #expect(allocator.allocate(byteCount: 4) == nil)
    }

    @Test func `each line is given once, and none that another device has`() {
        var resources = PlatformResources()
        var lines: [UInt32] = []
        while let line = resources.allocateGSI() { lines.append(line) }
        #expect(lines == X86Layout.deviceGSIs)
        let taken = [
            X86Layout.keyboardGSI, X86Layout.com1GSI, X86Layout.rtcGSI, X86Layout.acpiEventGSI, 0, 2, 13,
        ]
        #expect(Set(lines).count == lines.count)
        #expect(Set(lines).isDisjoint(with: taken))
        #expect(lines.allSatisfy { $0 < X86Layout.ioapicPinCount })
    }

    @Test func `memory slots count up`() {
        var resources = PlatformResources()
        #expect((0..<3).map { _ in resources.allocateMemorySlot() } == [0, 1, 2])
    }
}
