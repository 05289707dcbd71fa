// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Uninitialised memory that frees itself: large buffers that are only touched as far as they are used.
@safe
struct RawBuffer: ~Copyable {
    private static let hugePageByteCount = 2 << 20

    private let memory: UnsafeMutableRawBufferPointer

    init(byteCount: Int) {
        let isLarge = byteCount >= Self.hugePageByteCount
        unsafe memory = .allocate(byteCount: byteCount, alignment: isLarge ? Self.hugePageByteCount : 64)
        // Advice only: a fault for each 2 MiB instead of 512 of them.
        if isLarge { unsafe madvise(memory.baseAddress, byteCount, CInt(MADV_HUGEPAGE)) }
    }

    deinit {
        unsafe memory.deallocate()
    }

    var byteCount: Int { unsafe memory.count }

    /// The bytes, for reading, while `body` runs.
    borrowing func withBytes<R, E: Error>(
        _ range: Range<Int>,
        _ body: (RawSpan) throws(E) -> R
    ) throws(E) -> R {
        try unsafe body(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: memory[range])))
    }

    /// The bytes, for writing, while `body` runs.
    mutating func withMutableBytes<R, E: Error>(
        _ range: Range<Int>,
        _ body: (inout MutableRawSpan) throws(E) -> R
    ) throws(E) -> R {
        var span = unsafe MutableRawSpan(_unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: memory[range]))
        return try body(&span)
    }
}

/// The state of a C library at an address of its own: zlib and libbzip2 keep a pointer to it.
@safe
struct LibraryState<Value>: ~Copyable {
    let pointer: UnsafeMutablePointer<Value>

    init(_ value: Value) {
        unsafe pointer = .allocate(capacity: 1)
        unsafe pointer.initialize(to: value)
    }

    deinit {
        unsafe pointer.deinitialize(count: 1)
        unsafe pointer.deallocate()
    }
}
