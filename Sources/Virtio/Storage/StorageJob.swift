// SPDX-License-Identifier: Apache-2.0

import CStorage
import Glibc
import SystemPackage

/// A request on its way: which call comes next, until all of it is done.
///
/// The same for both engines. Short reads and writes go on where they stopped; zeroes that the file system cannot make are written.
@safe
struct StorageJob {
    /// The next call.
    enum Step {
        /// Read to, or write from, `vectors`, at `offset`.
        case read
        case write(isDurable: Bool)
        case sync
        case allocate(cstorage_range, byteCount: UInt64)
        case done(Errno?)
    }

    /// The most vectors that a call takes (IOV_MAX).
    static let vectorMaximum = 1024

    /// The request; its vectors are consumed as it proceeds.
    private(set) var request: StorageRequest
    private(set) var step: Step
    private(set) var offset: UInt64
    private var left: UInt64
    private var firstVector = 0
    /// The disk's block: a file that ends within one reads as zeros from there to the block's end.
    private let blockByteCount: UInt64
    /// The number of retried calls in a row.
    private var repeatCount = 0

    /// The number of interrupted or temporarily failing calls in a row that becomes the request's error.
    private static let repeatMaximum = 64
    /// The most bytes of one call, give or take a vector: the limit of what a pause or a reset waits for.
    private static let callByteMaximum: UInt64 = 16 << 20

    init(_ request: StorageRequest, on file: DiskFile) {
        self.request = request
        (offset, left) = (request.offset, request.byteCount)
        blockByteCount = UInt64(file.logicalBlockSize)
        step = .done(nil)
        switch request.operation {
        case .read: step = .read
        case .write(let isDurable): step = .write(isDurable: isDurable)
        case .flush: step = .sync
        case .discard: discard(alignment: file.allocationAlignment)
        case .writeZeroes(let mayUnmap): writeZeroes(mayUnmap, alignment: file.allocationAlignment)
        }
    }

    /// Indicates whether the request only moves data.
    var isTransfer: Bool {
        switch request.operation {
        case .read, .write: true
        case .flush, .discard, .writeZeroes: false
        }
    }

    var isRead: Bool {
        if case .read = request.operation { true } else { false }
    }

    /// Indicates whether the request is a write that the page cache may keep.
    var isCachedWrite: Bool {
        if case .write(isDurable: false) = request.operation { true } else { false }
    }

    /// The vectors that are still to be read or written: at least one, at most `vectorMaximum`.
    ///
    /// The pointer is good for the call of `body` only.
    func withVectors<R>(_ body: (UnsafeBufferPointer<iovec>) -> R) -> R {
        unsafe request.vectors.withUnsafeBufferPointer { all in
            var end = min(all.count, firstVector + Self.vectorMaximum)
            if left > Self.callByteMaximum {
                var (sum, index) = (UInt64(0), firstVector)
                while index < end, sum < Self.callByteMaximum {
                    unsafe sum += UInt64(all[index].iov_len)
                    index += 1
                }
                end = index
            }
            return unsafe body(UnsafeBufferPointer(rebasing: all[firstVector..<end]))
        }
    }

    /// Continues after the call of `step` returned `result`, at least 0 or -errno.
    mutating func advance(_ result: Int) {
        let error = result < 0 ? Errno(rawValue: CInt(clamping: -result)) : nil
        if let error, error == .interrupted || error == .resourceTemporarilyUnavailable {
            repeatCount += 1
            if repeatCount > Self.repeatMaximum { step = .done(error) }
            return
        }
        repeatCount = 0
        switch step {
        case .read, .write:
            guard error == nil else { return step = .done(error) }
            guard result > 0 else { return step = .done(endsWithZeros() ? nil : .ioError) }
            consume(UInt64(result))
        case .allocate:
            guard error == .notSupported, case .writeZeroes = request.operation else { return step = .done(error) }
            startWritingZeroes()
        case .sync: step = .done(error)
        case .done: break
        }
    }

    /// Fills the rest of a read with zeros, where the file ends within the last block that is read.
    ///
    /// - Returns: Whether it does; else the file has ended before its disk did.
    private func endsWithZeros() -> Bool {
        guard isRead, offset % blockByteCount != 0, left < blockByteCount else { return false }
        for index in unsafe firstVector..<request.vectors.count {
            let vector = unsafe request.vectors[index]
            unsafe _ = memset(vector.iov_base, 0, vector.iov_len)
        }
        return true
    }

    private mutating func consume(_ byteCount: UInt64) {
        offset += byteCount
        left -= min(left, byteCount)
        guard left > 0 else { return step = .done(nil) }
        var skipped = Int(byteCount)
        while unsafe firstVector < request.vectors.count {
            let length = unsafe request.vectors[firstVector].iov_len
            guard skipped >= length else { break }
            skipped -= length
            firstVector += 1
        }
        if skipped > 0 {
            unsafe request.vectors[firstVector].iov_base += skipped
            unsafe request.vectors[firstVector].iov_len -= skipped
        }
        if case .write = step, isWritingZeroes { fillWithZeroes() }
    }

    // MARK: - Ranges

    /// A hint: parts smaller than a block are ignored.
    private mutating func discard(alignment: UInt64) {
        let start = (offset + alignment - 1) / alignment * alignment
        let end = (offset + left) / alignment * alignment
        guard start < end else { return }
        offset = start
        step = .allocate(CSTORAGE_HOLE, byteCount: end - start)
    }

    private mutating func writeZeroes(_ mayUnmap: Bool, alignment: UInt64) {
        guard left > 0 else { return }
        guard offset % alignment == 0, left % alignment == 0 else { return startWritingZeroes() }
        step = .allocate(mayUnmap ? CSTORAGE_HOLE : CSTORAGE_ZEROS, byteCount: left)
    }

    private var isWritingZeroes: Bool {
        if case .writeZeroes = request.operation { true } else { false }
    }

    private mutating func startWritingZeroes() {
        step = .write(isDurable: false)
        fillWithZeroes()
    }

    private mutating func fillWithZeroes() {
        firstVector = 0
        unsafe request.vectors.removeAll(keepingCapacity: true)
        var wanted = Int(clamping: left)
        while wanted > 0, unsafe request.vectors.count < 16 {
            let count = min(wanted, ZeroPages.byteCount)
            unsafe request.vectors.append(iovec(iov_base: ZeroPages.address, iov_len: count))
            wanted -= count
        }
    }
}

/// Memory that is always zero: one read-only mapping for all disks.
@safe
private enum ZeroPages {
    static let byteCount = 1 << 16
    // A read-only anonymous mapping that is never unmapped.
    nonisolated(unsafe) static let address: UnsafeMutableRawPointer = {
        let pages = unsafe mmap(nil, byteCount, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let pages = unsafe pages, unsafe pages != MAP_FAILED else { fatalError("no address space for 64 KiB") }
        return unsafe pages
    }()
}
