// SPDX-License-Identifier: Apache-2.0

public import Synchronization

/// A window on part of one region that is read and written again and again, such as a ring of a virtqueue.
///
/// The range is checked once, when the view is made; offsets are the owner's own, so one beyond the end is a bug and
/// traps. Each access reads or writes guest memory once.
@safe
public struct GuestMemoryView: Sendable {
    public let byteCount: Int
    /// Keeps the mapping alive.
    private let region: GuestMemoryRegion
    // Inside the region's mapping, which `region` keeps; every offset is checked before it is used.
    @usableFromInline nonisolated(unsafe) let base: UnsafeMutableRawPointer

    /// Fails when the bytes are not all in one region of RAM.
    ///
    /// - Parameters:
    ///   - memory: The guest's memory.
    ///   - address: The start of the window.
    ///   - byteCount: Its size; not 0.
    package init?(_ memory: GuestMemory, at address: GuestAddress, byteCount: Int) {
        guard byteCount > 0, let region = memory.region(containing: address) else { return nil }
        let base = unsafe region.withUnsafeHostPointer(at: address, byteCount: UInt64(byteCount)) { unsafe $0 }
        guard let base = unsafe base else { return nil }
        self.region = region
        self.byteCount = byteCount
        unsafe self.base = base
    }

    @inlinable @inline(__always)
    func pointer(at offset: Int, byteCount: Int) -> UnsafeMutableRawPointer {
        precondition(offset >= 0 && offset <= self.byteCount - byteCount, "beyond the end of the view")
        return unsafe base + offset
    }

    // Each of these is one instruction: a call, let alone one through a witness table, would be ten times that. Hence not
    // generic, and public although no product shows this module: what is `package` is inlined into no other module.

    /// The little-endian integer at `offset`.
    @inlinable @inline(__always)
    public func load(_ type: UInt16.Type, at offset: Int) -> UInt16 {
        unsafe UInt16(littleEndian: pointer(at: offset, byteCount: 2).loadUnaligned(as: UInt16.self))
    }

    /// The little-endian integer at `offset`.
    @inlinable @inline(__always)
    public func load(_ type: UInt32.Type, at offset: Int) -> UInt32 {
        unsafe UInt32(littleEndian: pointer(at: offset, byteCount: 4).loadUnaligned(as: UInt32.self))
    }

    /// The little-endian integer at `offset`.
    @inlinable @inline(__always)
    public func load(_ type: UInt64.Type, at offset: Int) -> UInt64 {
        unsafe UInt64(littleEndian: pointer(at: offset, byteCount: 8).loadUnaligned(as: UInt64.self))
    }

    /// Stores `value` in little-endian order at `offset`.
    @inlinable @inline(__always)
    public func store(_ value: UInt16, at offset: Int) {
        unsafe pointer(at: offset, byteCount: 2).storeBytes(of: value.littleEndian, as: UInt16.self)
    }

    /// Stores `value` in little-endian order at `offset`.
    @inlinable @inline(__always)
    public func store(_ value: UInt32, at offset: Int) {
        unsafe pointer(at: offset, byteCount: 4).storeBytes(of: value.littleEndian, as: UInt32.self)
    }

    /// Stores `value` in little-endian order at `offset`.
    @inlinable @inline(__always)
    public func store(_ value: UInt64, at offset: Int) {
        unsafe pointer(at: offset, byteCount: 8).storeBytes(of: value.littleEndian, as: UInt64.self)
    }

    /// The integer at `offset`, a multiple of 2: earlier writes of the guest are visible after this.
    @inlinable @inline(__always)
    public func loadAcquiring(at offset: Int) -> UInt16 {
        let atomic = unsafe atomicPointer(at: offset)
        return UInt16(littleEndian: unsafe atomic.pointee.load(ordering: .acquiring))
    }

    /// Stores `value` at `offset`, a multiple of 2: a guest that sees it sees everything that was written before.
    @inlinable @inline(__always)
    public func storeReleasing(_ value: UInt16, at offset: Int) {
        let atomic = unsafe atomicPointer(at: offset)
        unsafe atomic.pointee.store(value.littleEndian, ordering: .releasing)
    }

    @inlinable @inline(__always)
    func atomicPointer(at offset: Int) -> UnsafeMutablePointer<Atomic<UInt16>> {
        precondition(offset & 1 == 0, "not aligned")
        return unsafe pointer(at: offset, byteCount: 2).assumingMemoryBound(to: Atomic<UInt16>.self)
    }
}
