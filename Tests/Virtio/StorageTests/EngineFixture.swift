// SPDX-License-Identifier: Apache-2.0

import CStorage
import Glibc
import Host
import Storage
import SystemPackage
import TestSupport
import Testing

/// An engine in front of a file, and memory for its requests.
@safe
final class EngineFixture {
    let engine: any StorageEngine
    let file: DiskFile
    let path: String

    private let folder: TemporaryFolder
    private var allocations: [UnsafeMutableRawBufferPointer] = unsafe []

    init(
        _ kind: StorageEngineKind,
        byteCount: Int,
        isDirect: Bool = false,
        capacity: Int = 32,
        threads: StorageThreads? = nil
    ) throws {
        folder = try TemporaryFolder()
        path = try folder.makeSparseFile("disk", byteCount: byteCount)
        file = try DiskFile(path: FilePath(path), isReadOnly: false, isDirect: isDirect)
        engine = try kind.makeEngine(for: file, capacity: capacity, threads: threads)
    }

    deinit {
        unsafe allocations.forEach { unsafe $0.deallocate() }
    }

    /// A request with memory of its own, cut into vectors of these sizes.
    func request(
        _ operation: StorageRequest.Operation,
        slot: Int = 0,
        offset: UInt64,
        vectors sizes: [Int],
        misalignment: Int = 0
    ) -> StorageRequest {
        var request = StorageRequest(slot: slot)
        request.operation = operation
        request.offset = offset
        request.byteCount = UInt64(sizes.reduce(0, +))
        for size in sizes {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size + 4096, alignment: 4096)
            unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
            unsafe allocations.append(buffer)
            guard let start = buffer.baseAddress else { continue }
            unsafe request.vectors.append(iovec(iov_base: start + misalignment, iov_len: size))
        }
        return request
    }

    func write(_ bytes: [UInt8], at offset: UInt64, cut: [Int]? = nil, misalignment: Int = 0) -> Errno? {
        let request = request(
            .write(isDurable: false),
            offset: offset,
            vectors: cut ?? [bytes.count],
            misalignment: misalignment
        )
        var position = 0
        for index in unsafe request.vectors.indices {
            let vector = unsafe request.vectors[index]
            let memory = unsafe UnsafeMutableRawBufferPointer(start: vector.iov_base, count: vector.iov_len)
            unsafe memory.copyBytes(from: bytes[position..<position + vector.iov_len])
            unsafe position += vector.iov_len
        }
        return perform(request)
    }

    func read(
        _ byteCount: Int,
        at offset: UInt64,
        cut: [Int]? = nil,
        misalignment: Int = 0
    ) -> (bytes: [UInt8], error: Errno?) {
        let request = request(.read, offset: offset, vectors: cut ?? [byteCount], misalignment: misalignment)
        // The engine may move the vectors on.
        let memory = RequestMemory(of: request)
        let error = perform(request)
        return (memory.bytes, error)
    }

    /// The place of a request's data, whatever the engine does to its vectors.
    @safe
    struct RequestMemory {
        private let vectors: [iovec]

        init(of request: StorageRequest) {
            unsafe vectors = request.vectors
        }

        var bytes: [UInt8] {
            unsafe vectors.flatMap {
                unsafe Array(UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len))
            }
        }

        func fill(with byte: UInt8) {
            unsafe vectors.forEach { unsafe _ = memset($0.iov_base, CInt(byte), $0.iov_len) }
        }
    }

    /// A request for a range without memory.
    func perform(_ operation: StorageRequest.Operation, offset: UInt64 = 0, byteCount: UInt64 = 0) -> Errno? {
        var request = StorageRequest(slot: 0)
        request.operation = operation
        (request.offset, request.byteCount) = (offset, byteCount)
        return perform(request)
    }

    func perform(_ request: StorageRequest) -> Errno? {
        engine.submit(request)
        engine.commit()
        return complete()?.error
    }

    /// Waits for a completion as a device does: by the event, if none is there.
    func complete() -> StorageCompletion? {
        while engine.inFlightCount > 0 {
            if let completion = engine.takeCompletion() { return completion }
            var set = pollfd(fd: engine.completionEvent.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&set, 1, 60_000) == 1 else {
                Issue.record("no completion came")
                return nil
            }
            engine.completionEvent.take()
        }
        return nil
    }

    /// The number of bytes of the host's disk that the file has.
    var allocatedByteCount: Int {
        var status = stat()
        unsafe stat(path, &status)
        return status.st_blocks * 512
    }

    func truncate(to byteCount: Int) {
        unsafe Glibc.truncate(path, byteCount)
    }
}
