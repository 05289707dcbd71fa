// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// The page by which a guest that takes part in snapshots learns who it is: payload of an entry of `setup_data`.
///
/// Linux shows its bytes, as they are at each moment, in `/sys/kernel/boot_params/setup_data/N/data`. Numbers are
/// little-endian.
///
/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 8 | `mrtl-id1` |
/// | 8 | 4 | answer: another number each time that the guest may go on |
/// | 12 | 4 | generation: another number for each machine that is restored from a snapshot |
/// | 16 | 8 | the time in seconds since 1970, or 0 for a clock that is right |
/// | 24 | 4 | nanoseconds |
/// | 28 | 4 | the number of bytes of the host name, or 0 for the name that the guest has |
/// | 32 | 32 | random numbers of the host |
/// | 64 | 64 | the host name |
/// | 128 | 4 | 1 where the machine is saved as soon as its guest is ready, else 0 |
/// | 132 | 4 | 0 |
package struct IdentityPage: Sendable {
    private static let magic = Array("mrtl-id1".utf8)
    package static let byteCount = 136
    /// The longest host name in bytes: Linux has no longer ones.
    package static let nameLimit = 64
    private static let entropyOffset: UInt64 = 32
    private static let entropyByteCount = 32

    private let memory: GuestMemory
    private let address: GuestAddress

    /// The bytes of a guest that has just been booted.
    package static var initialBytes: [UInt8] { magic + [UInt8](repeating: 0, count: byteCount - magic.count) }

    /// The page of a machine.
    ///
    /// - Parameters:
    ///   - memory: The guest's, which has the page, or whatever the guest has made of it.
    ///   - address: The address of its bytes.
    package init(in memory: GuestMemory, at address: GuestAddress = X86Layout.identityPage) {
        (self.memory, self.address) = (memory, address)
    }

    /// Lets a guest that waits go on as it is.
    package func answer() throws(GuestMemoryError) {
        try increase(at: 8)
    }

    /// Tells a guest that boots to get as far as others are to go on from: the machine is saved there.
    package func expectSave() throws(GuestMemoryError) {
        try memory.store(UInt32(1), at: place(128))
    }

    /// Gives the guest another identity, which it takes when it looks.
    ///
    /// - Parameters:
    ///   - entropy: 32 random bytes.
    ///   - time: The time in seconds since 1970 and nanoseconds; `nil` for a clock that is right.
    ///   - name: The host name; empty for the one that it has.
    /// - Throws: `GuestMemoryError` where there is no such memory.
    package func renew(
        entropy: [UInt8],
        time: (seconds: Int64, nanoseconds: UInt32)?,
        name: String
    ) throws(GuestMemoryError) {
        let name = Array(name.utf8.prefix(Self.nameLimit))
        try memory.store(time?.seconds ?? 0, at: place(16))
        try memory.store(time?.nanoseconds ?? 0, at: place(24))
        try memory.store(UInt32(name.count), at: place(28))
        try memory.write(Array(entropy.prefix(Self.entropyByteCount)), at: place(Self.entropyOffset))
        try memory.write(name, at: place(64))
        try increase(at: 12)
        try answer()
    }

    /// Removes the random numbers, which the guest has taken.
    package func forgetEntropy() throws(GuestMemoryError) {
        try memory.fill(0, byteCount: UInt64(Self.entropyByteCount), at: place(Self.entropyOffset))
    }

    private func increase(at offset: UInt64) throws(GuestMemoryError) {
        try memory.store(try memory.load(UInt32.self, at: place(offset)) &+ 1, at: place(offset))
    }

    private func place(_ offset: UInt64) -> GuestAddress { GuestAddress(rawValue: address.rawValue + offset) }
}
