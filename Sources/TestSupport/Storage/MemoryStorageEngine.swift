// SPDX-License-Identifier: Apache-2.0

import CStorage
import Glibc
import HostEvents
package import Storage
package import SystemPackage

/// A disk in plain memory: as fast as a disk can be, and as broken as a test wants it.
///
/// Completes in `commit`, or, when `isHolding`, not before `release()` and in the order that the test chooses.
@safe
package final class MemoryStorageEngine: StorageEngine {
    package let capacity: Int
    package private(set) var bytes: [UInt8]
    /// What happened, in order.
    package private(set) var log: [String] = []
    /// The error of every request that touches a byte at or beyond this offset.
    package var failure: (offset: UInt64, error: Errno)?
    /// Whether requests stay in flight.
    package var isHolding = false
    package var keepsLog = true

    private let event: EventFD
    private var submitted: [StorageRequest] = []
    private var held: [StorageRequest] = []
    private var completed: [StorageCompletion] = []

    package init(byteCount: Int, capacity: Int = 256) throws(Errno) {
        bytes = Array(repeating: 0, count: byteCount)
        self.capacity = capacity
        event = try EventFD()
    }

    package var inFlightCount: Int { submitted.count + held.count + completed.count }
    package var completionEvent: FileDescriptor { event.descriptor }

    package func submit(_ request: StorageRequest) {
        submitted.append(request)
    }

    package func commit() {
        for request in submitted {
            if isHolding {
                held.append(request)
            } else {
                completed.append(StorageCompletion(request: request, error: perform(request)))
            }
        }
        submitted.removeAll(keepingCapacity: true)
    }

    package func takeCompletion() -> StorageCompletion? {
        if completed.isEmpty { event.take() }
        return completed.popLast()
    }

    package func waitForCompletion() {
        commit()
        release()
    }

    /// Completes what is held, last first, and signals the event.
    package func release() {
        while let request = held.popLast() {
            completed.insert(StorageCompletion(request: request, error: perform(request)), at: 0)
        }
        event.signal()
    }

    private func perform(_ request: StorageRequest) -> Errno? {
        let (start, count) = (request.offset, request.byteCount)
        if keepsLog { log.append("\(request.operation) \(start)+\(count)") }
        if let failure, start + count > failure.offset { return failure.error }
        if case .flush = request.operation { return nil }
        guard start + count <= UInt64(bytes.count) else { return .ioError }
        let range = Int(start)..<Int(start + count)
        switch request.operation {
        case .read: copy(range, of: request, toDisk: false)
        case .write: copy(range, of: request, toDisk: true)
        case .discard, .writeZeroes:
            for index in range { bytes[index] = 0 }
        case .flush: break
        }
        return nil
    }

    private func copy(_ range: Range<Int>, of request: StorageRequest, toDisk: Bool) {
        unsafe bytes.withUnsafeMutableBytes { disk in
            guard var position = unsafe disk.baseAddress.map({ unsafe $0 + range.lowerBound }) else { return }
            for index in unsafe request.vectors.indices {
                let vector = unsafe request.vectors[index]
                if toDisk {
                    unsafe memcpy(position, vector.iov_base, vector.iov_len)
                } else {
                    unsafe memcpy(vector.iov_base, position, vector.iov_len)
                }
                unsafe position += vector.iov_len
            }
        }
    }
}
