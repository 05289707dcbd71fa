// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory

/// The `setup_data` list: an entry with the page that tells the guest who it is, one that seeds the kernel's random number
/// generator, or neither.
///
/// The kernel shows the first one in sysfs, which it does with every type that it does not know. It zeroes the seed in guest memory when it has taken it (Linux 6.0 and later; older ones ignore it).
struct SetupData {
    private static let rngSeedType: UInt32 = 9  // SETUP_RNG_SEED
    private static let identityType: UInt32 = 0x4d54_4c54  // "MTLT", of our own
    private static let headerByteCount = 16

    /// More randomness than the kernel's pool holds serves nobody.
    static let seedLimit = 4096

    var hasIdentityPage = false
    let rngSeed: [UInt8]

    /// The start of the list, or `nil` without an entry.
    var address: GuestAddress? { rngSeed.isEmpty && !hasIdentityPage ? nil : X86Layout.setupData }

    /// The list to be put at `X86Layout.setupData`.
    var bytes: [UInt8] {
        let page = IdentityPage.initialBytes
        let next = X86Layout.setupData.rawValue + UInt64(Self.headerByteCount + page.count)
        let identity =
            hasIdentityPage ? Self.entry(Self.identityType, page, next: rngSeed.isEmpty ? 0 : next) : []
        return identity + (rngSeed.isEmpty ? [] : Self.entry(Self.rngSeedType, rngSeed, next: 0))
    }

    private static func entry(_ type: UInt32, _ payload: [UInt8], next: UInt64) -> [UInt8] {
        var entry = ByteWriter(byteCount: headerByteCount + payload.count)
        entry.store(next, at: 0)
        entry.store(type, at: 8)
        entry.store(UInt32(payload.count), at: 12)
        entry.store(payload, at: headerByteCount)
        return entry.bytes
    }
}
