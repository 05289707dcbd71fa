// SPDX-License-Identifier: Apache-2.0

import Synchronization

extension GuestMemory {
    /// Atomically replaces the 8 bytes at `address` by `desired` where they are `expected`.
    ///
    /// `address` is a multiple of 8; `outOfRange` is thrown for others too. Returns the value that was there.
    @discardableResult
    package func compareExchange(
        at address: GuestAddress,
        expected: UInt64,
        desired: UInt64
    ) throws(GuestMemoryError) -> UInt64 {
        try unsafe withAtomic(Atomic<UInt64>.self, byteCount: 8, at: address) { atomic in
            unsafe UInt64(
                littleEndian: atomic.pointee.compareExchange(
                    expected: expected.littleEndian,
                    desired: desired.littleEndian,
                    ordering: .sequentiallyConsistent
                ).original
            )
        }
    }

    /// Atomically replaces the 16 bytes at `address` by `desired` where they are `expected`.
    ///
    /// `address` is a multiple of 16; `outOfRange` is thrown for others too. Returns the value that was there.
    @discardableResult
    package func compareExchange(
        at address: GuestAddress,
        expected: UInt128,
        desired: UInt128
    ) throws(GuestMemoryError) -> UInt128 {
        try unsafe withAtomic(Atomic<WordPair>.self, byteCount: 16, at: address) { atomic in
            unsafe UInt128(
                atomic.pointee.compareExchange(
                    expected: WordPair(expected),
                    desired: WordPair(desired),
                    ordering: .sequentiallyConsistent
                ).original
            )
        }
    }

    private func withAtomic<A: ~Copyable, R>(
        _ type: A.Type,
        byteCount: UInt64,
        at address: GuestAddress,
        _ body: (UnsafePointer<A>) -> R
    ) throws(GuestMemoryError) -> R {
        guard address.rawValue % byteCount == 0, let region = region(containing: address) else {
            throw .outOfRange(address, byteCount: byteCount)
        }
        // Regions are page aligned, in the guest and on the host: what is aligned there is aligned here.
        let result = unsafe region.withUnsafeHostPointer(at: address, byteCount: byteCount) { host in
            unsafe body(UnsafePointer(host.assumingMemoryBound(to: A.self)))
        }
        guard let result else { throw .outOfRange(address, byteCount: byteCount) }
        return result
    }
}

extension WordPair {
    fileprivate init(_ value: UInt128) {
        self.init(first: UInt(truncatingIfNeeded: value), second: UInt(truncatingIfNeeded: value >> 64))
    }
}

extension UInt128 {
    fileprivate init(_ pair: WordPair) {
        self = UInt128(pair.second) << 64 | UInt128(pair.first)
    }
}
