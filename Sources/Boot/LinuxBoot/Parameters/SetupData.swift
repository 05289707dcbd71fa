// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory

/// The `setup_data` list: one entry that seeds the kernel's random number generator, or none.
///
/// The kernel zeroes the seed in guest memory when it has taken it (Linux 6.0 and later; older ones ignore it).
struct SetupData {
    private static let rngSeedType: UInt32 = 9  // SETUP_RNG_SEED
    private static let headerByteCount = 16

    /// More randomness than the kernel's pool holds serves nobody.
    static let seedLimit = 4096

    let rngSeed: [UInt8]

    /// Where the list begins, or `nil` without an entry.
    var address: GuestAddress? { rngSeed.isEmpty ? nil : X86Layout.setupData }

    /// The list to be put at `X86Layout.setupData`.
    var bytes: [UInt8] {
        guard !rngSeed.isEmpty else { return [] }
        var entry = ByteWriter(byteCount: Self.headerByteCount + rngSeed.count)
        entry.store(0 as UInt64, at: 0)  // no next entry
        entry.store(Self.rngSeedType, at: 8)
        entry.store(UInt32(rngSeed.count), at: 12)
        entry.store(rngSeed, at: Self.headerByteCount)
        return entry.bytes
    }
}
