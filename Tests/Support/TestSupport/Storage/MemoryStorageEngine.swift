// SPDX-License-Identifier: Apache-2.0

import CStorage
import Glibc
import Host
import Storage
import Synchronization
import SystemPackage

/// Does to a `MemoryDisk` what engines do to files.
final class MemoryStorageEngine: StorageEngine {
    let capacity: Int
    private let disk: MemoryDisk
    private var submitted: [StorageRequest] = []
    private var held: [StorageRequest] = []
    private var completed: [StorageCompletion] = []

    init(_ disk: MemoryDisk, capacity: Int) {
        (self.disk, self.capacity) = (disk, capacity)
    }

    var inFlightCount: Int { submitted.count + held.count + completed.count }
    var completionEvent: EventFD { disk.event }

    func submit(_ request: StorageRequest) {
        submitted.append(request)
    }

    func commit() {
        held += submitted
        submitted.removeAll(keepingCapacity: true)
        if !disk.state.withLock({ $0.isHolding }) { completeHeld() }
    }

    func takeCompletion() -> StorageCompletion? {
        if completed.isEmpty, !held.isEmpty, !disk.state.withLock({ $0.isHolding }) { completeHeld() }
        return completed.popLast()
    }

    /// A disk that holds back lets go when somebody must wait for it.
    func waitForCompletion() {
        held += submitted
        submitted.removeAll(keepingCapacity: true)
        completeHeld()
    }

    /// Nothing here takes time, so all of it is done.
    func cancel() { waitForCompletion() }

    private func completeHeld() {
        for request in held {
            completed.append(StorageCompletion(slot: request.slot, error: perform(request)))
        }
        held.removeAll(keepingCapacity: true)
    }

    private func perform(_ request: StorageRequest) -> Errno? {
        let (operation, start, count) = (request.operation, request.offset, request.byteCount)
        let vectors = unsafe request.vectors
        return disk.state.withLock { state in
            let isFlush = if case .flush = operation { true } else { false }
            if state.keepsLog { state.log.append(isFlush ? "flush" : "\(operation) \(start)+\(count)") }
            if let failure = state.failure, isFlush || start + count > failure.offset { return failure.error }
            guard !isFlush else { return nil }
            guard start + count <= UInt64(state.bytes.count) else { return .ioError }
            let range = Int(start)..<Int(start + count)
            switch operation {
            case .read: unsafe copy(vectors, range, &state.bytes, toDisk: false)
            case .write: unsafe copy(vectors, range, &state.bytes, toDisk: true)
            case .discard, .writeZeroes: for index in range { state.bytes[index] = 0 }
            case .flush: break
            }
            return nil
        }
    }
}

private func copy(_ vectors: [iovec], _ range: Range<Int>, _ bytes: inout [UInt8], toDisk: Bool) {
    unsafe bytes.withUnsafeMutableBytes { disk in
        guard var position = unsafe disk.baseAddress.map({ unsafe $0 + range.lowerBound }) else { return }
        for index in unsafe vectors.indices {
            let vector = unsafe vectors[index]
            if toDisk {
                unsafe memcpy(position, vector.iov_base, vector.iov_len)
            } else {
                unsafe memcpy(vector.iov_base, position, vector.iov_len)
            }
            unsafe position += vector.iov_len
        }
    }
}
