// SPDX-License-Identifier: Apache-2.0

import CStorage
import Glibc
import Host
import SystemPackage

/// Lets direct I/O take any request: unaligned ones go through a buffer.
///
/// That path is slow and simple: it waits until nothing else is under way, because a write of a part of a block reads and
/// writes the whole block. Drivers that heed the block size, as all common ones do, never meet it.
@safe
final class DirectEngine: StorageEngine {
    private static let bufferByteCount = 1 << 20
    /// The most that a request without alignment may have: all else waits for it.
    private static let requestByteMaximum: UInt64 = 16 << 20

    private let base: any StorageEngine
    private let file: DiskFile
    private var completed: [StorageCompletion] = []

    init(_ base: any StorageEngine, file: DiskFile) {
        self.base = base
        self.file = file
    }

    var capacity: Int { base.capacity }
    var inFlightCount: Int { base.inFlightCount + completed.count }
    var completionEvent: EventFD { base.completionEvent }

    func submit(_ request: StorageRequest) {
        switch request.operation {
        case .read where !isAligned(request): runAlone(request, isWrite: false)
        case .write where !isAligned(request): runAlone(request, isWrite: true)
        default: base.submit(request)
        }
    }

    func commit() { base.commit() }

    func cancel() { base.cancel() }

    func takeCompletion() -> StorageCompletion? {
        completed.popLast() ?? base.takeCompletion()
    }

    func waitForCompletion() {
        base.commit()
        if completed.isEmpty { base.waitForCompletion() }
    }

    // MARK: - Unaligned requests

    private func isAligned(_ request: StorageRequest) -> Bool {
        let block = UInt64(file.logicalBlockSize)
        let memory = UInt(file.memoryAlignment)
        guard request.offset % block == 0, request.byteCount % block == 0 else { return false }
        return unsafe request.vectors.allSatisfy {
            UInt(bitPattern: unsafe $0.iov_base) % memory == 0 && UInt(unsafe $0.iov_len) % UInt(block) == 0
        }
    }

    private func runAlone(_ request: StorageRequest, isWrite: Bool) {
        guard request.byteCount <= Self.requestByteMaximum else {
            return completed.append(StorageCompletion(slot: request.slot, error: .invalidArgument))
        }
        while base.inFlightCount > 0 {
            base.waitForCompletion()
            while let completion = base.takeCompletion() { completed.append(completion) }
        }
        completed.append(StorageCompletion(slot: request.slot, error: copy(request, isWrite: isWrite)))
    }

    /// Moves the request through the buffer, a piece at a time.
    private func copy(_ request: StorageRequest, isWrite: Bool) -> Errno? {
        let block = UInt64(file.logicalBlockSize)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferByteCount, alignment: 4096)
        defer { unsafe buffer.deallocate() }
        var vectors = unsafe request.vectors[...]
        var position = request.offset
        let end = request.offset + request.byteCount
        while position < end {
            let start = position / block * block
            let stop = min((end + block - 1) / block * block, start + UInt64(Self.bufferByteCount))
            let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(stop - start)])
            let range = Int(position - start)..<Int(min(end, stop) - start)
            // Of whole blocks nothing is left to be read before they are written.
            let isPartial = range.lowerBound > 0 || range.upperBound < piece.count
            if !isWrite || isPartial, let error = unsafe transfer(piece, at: start, isWrite: false) { return error }
            unsafe move(UnsafeMutableRawBufferPointer(rebasing: piece[range]), &vectors, toBuffer: isWrite)
            if isWrite, let error = unsafe transfer(piece, at: start, isWrite: true) { return error }
            position = min(end, stop)
        }
        if case .write(isDurable: true) = request.operation {
            let result = cstorage_sync(file.descriptor)
            if result < 0 { return Errno(rawValue: -result) }
        }
        return nil
    }

    /// Reads or writes all of `piece`.
    private func transfer(_ piece: UnsafeMutableRawBufferPointer, at offset: UInt64, isWrite: Bool) -> Errno? {
        var request = StorageRequest(slot: 0)
        request.operation = isWrite ? .write(isDurable: false) : .read
        (request.offset, request.byteCount) = (offset, UInt64(piece.count))
        unsafe request.vectors.append(iovec(iov_base: piece.baseAddress, iov_len: piece.count))
        var job = StorageJob(request, on: file)
        return job.run(on: file.descriptor)
    }

    /// Copies between `bytes` and the next bytes of `vectors`, which it consumes.
    private func move(_ bytes: UnsafeMutableRawBufferPointer, _ vectors: inout ArraySlice<iovec>, toBuffer: Bool) {
        guard var place = bytes.baseAddress else { return }
        var left = bytes.count
        while left > 0, let vector = unsafe vectors.popFirst(), let memory = unsafe vector.iov_base {
            let count = unsafe min(left, vector.iov_len)
            if toBuffer {
                unsafe memcpy(place, memory, count)
            } else {
                unsafe memcpy(memory, place, count)
            }
            unsafe place += count
            left -= count
            if unsafe count < vector.iov_len {
                unsafe vectors.insert(
                    iovec(iov_base: memory + count, iov_len: vector.iov_len - count),
                    at: vectors.startIndex
                )
            }
        }
    }
}
