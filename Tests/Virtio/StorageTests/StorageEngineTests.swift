// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Host
import Storage
import SystemPackage
import TestSupport
import Testing

/// Tests of both engines; files lie where temporary files do.
@Suite struct StorageEngineTests {
    static let engines: [StorageEngineKind] = [.ioUring, .threads]
    private static let pattern = (0..<65536).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }

    @Test(arguments: engines)
    func `what was written is read back, however it is cut`(kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 1 << 20)
        #expect(fixture.write(Self.pattern, at: 4096, cut: [1, 4095, 61440]) == nil)
        let answer = fixture.read(65536, at: 4096, cut: [30000, 5536, 30000])
        #expect(answer.error == nil)
        #expect(answer.bytes == Self.pattern)
    }

    @Test(arguments: engines)
    func `more vectors than a system call takes are done all the same`(kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 1 << 20)
        let cut = [Int](repeating: 16, count: 3000)
        let bytes = Array(Self.pattern.prefix(48000))
        #expect(fixture.write(bytes, at: 512, cut: cut) == nil)
        #expect(fixture.read(48000, at: 512, cut: cut).bytes == bytes)
    }

    @Test(arguments: engines)
    func `a write that is durable, and a flush, succeed`(kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 65536)
        let request = fixture.request(.write(isDurable: true), offset: 0, vectors: [4096])
        #expect(fixture.perform(request) == nil)
        #expect(fixture.perform(.flush) == nil)
    }

    @Test(arguments: engines)
    func `32 requests at a time leave what one after the other would`(kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 32 * 8192)
        var random = SeededGenerator(seed: 7)
        var model = [UInt8](repeating: 0, count: 32 * 8192)
        for _ in 0..<40 {
            var expected: [Int: (Range<Int>, EngineFixture.RequestMemory)] = [:]
            for slot in 0..<32 {
                // Each slot has its own part of the disk: requests in flight have no order.
                let start = slot * 8192 + Int.random(in: 0..<4096, using: &random)
                let count = Int.random(in: 1...4096, using: &random)
                let isWrite = Bool.random(using: &random)
                let operation: StorageRequest.Operation = isWrite ? .write(isDurable: false) : .read
                let request = fixture.request(operation, slot: slot, offset: UInt64(start), vectors: [count])
                if isWrite {
                    let byte = UInt8.random(in: 1...255, using: &random)
                    EngineFixture.RequestMemory(of: request).fill(with: byte)
                    for index in start..<start + count { model[index] = byte }
                } else {
                    expected[slot] = (start..<start + count, EngineFixture.RequestMemory(of: request))
                }
                fixture.engine.submit(request)
            }
            fixture.engine.commit()
            for _ in 0..<32 {
                let completion = try #require(fixture.complete())
                #expect(completion.error == nil)
                if let (range, memory) = expected[completion.slot] {
                    #expect(memory.bytes == Array(model[range]))
                }
            }
        }
        #expect(fixture.engine.inFlightCount == 0)
    }

    @Test(arguments: engines)
    func `reads of megabytes at a time, of which threads take a part, are all done`(kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 1 << 21)
        for part in 0..<32 { #expect(fixture.write(Self.pattern, at: UInt64(part) << 16) == nil) }
        for _ in 0..<20 {
            let memory = (0..<32).map { slot in
                let request = fixture.request(.read, slot: slot, offset: UInt64(slot) << 16, vectors: [65536])
                fixture.engine.submit(request)
                return EngineFixture.RequestMemory(of: request)
            }
            fixture.engine.commit()
            for _ in 0..<32 { #expect(try #require(fixture.complete()).error == nil) }
            #expect(memory.allSatisfy { $0.bytes == Self.pattern })
        }
    }

    @Test(arguments: engines, [false, true])
    func `a driver may send one request at a time, and then two`(kind: StorageEngineKind, isDirect: Bool) throws {
        let fixture = try EngineFixture(kind, byteCount: 65536, isDirect: isDirect)
        for round in 0..<150 {
            let byte = UInt8(truncatingIfNeeded: round)
            #expect(fixture.write([UInt8](repeating: byte, count: 4096), at: 4096) == nil)
            #expect(fixture.read(4096, at: 4096).bytes.allSatisfy { $0 == byte })
        }
        for slot in 0..<2 {
            fixture.engine.submit(fixture.request(.read, slot: slot, offset: 4096, vectors: [4096]))
            fixture.engine.commit()
        }
        let slots = try [#require(fixture.complete()).slot, #require(fixture.complete()).slot]
        #expect(slots.sorted() == [0, 1])
        #expect(fixture.complete() == nil)
    }

    // MARK: - Ends and errors

    @Test(arguments: engines, [false, true])
    func `a file of no whole sectors ends with zeros, and grows when they are written`(
        kind: StorageEngineKind,
        isDirect: Bool
    ) throws {
        let fixture = try EngineFixture(kind, byteCount: 8192, isDirect: isDirect)
        #expect(fixture.write(Array(Self.pattern.prefix(8192)), at: 0) == nil)
        fixture.truncate(to: 5000)
        let block = fixture.file.logicalBlockSize
        let end = (5000 + block - 1) / block * block
        #expect(fixture.file.byteCount == UInt64(end))
        let expected = Array(Self.pattern.prefix(5000)) + [UInt8](repeating: 0, count: end - 5000)
        let answer = fixture.read(end, at: 0)
        #expect(answer.error == nil)
        #expect(answer.bytes == expected)
        #expect(fixture.read(block, at: UInt64(end - block)).bytes == Array(expected.suffix(block)))
        // Into the memory of what was read before, in pieces.
        let cut = fixture.read(block, at: UInt64(end - block), cut: [100, block - 101, 1])
        #expect(cut.bytes == Array(expected.suffix(block)))
        #expect(fixture.write(Array(Self.pattern.prefix(block)), at: UInt64(end - block)) == nil)
        #expect(fixture.read(block, at: UInt64(end - block)).bytes == Array(Self.pattern.prefix(block)))
        var status = stat()
        unsafe stat(fixture.path, &status)
        #expect(Int(status.st_size) == end)
    }

    @Test(arguments: engines)
    func `after a cancellation nothing moves data, and every request has completed`(kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 1 << 21)
        for slot in 0..<32 {
            let operation: StorageRequest.Operation = slot == 7 ? .flush : .read
            let request = fixture.request(operation, slot: slot, offset: UInt64(slot) << 16, vectors: [65536])
            fixture.engine.submit(request)
            if slot == 20 { fixture.engine.commit() }
        }
        fixture.engine.cancel()
        var slots: Set<Int> = []
        while let completion = fixture.complete() {
            #expect(completion.error == nil || completion.error == .canceled)
            slots.insert(completion.slot)
            // What is left besides is the flush.
            if slots.count == 31, !slots.contains(7) { fixture.engine.commit() }
        }
        #expect(slots.count == 32)
        #expect(fixture.read(4096, at: 0).error == nil)
    }

    @Test(.enabled(if: Sandbox.hasFilters, "a sanitizer makes calls of its own"))
    func `a vCPU's thread, on which a reset comes, cancels with its own system calls`() async {
        await #expect(processExitsWith: .success) { try Self.cancelOnVCPU(.ioUring) }
        await #expect(processExitsWith: .success) { try Self.cancelOnVCPU(.threads) }
    }

    private static func cancelOnVCPU(_ kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 16 << 20, isDirect: true)
        let requests = (0..<32).map { slot in
            fixture.request(.write(isDurable: true), slot: slot, offset: UInt64(slot) << 19, vectors: [1 << 19])
        }
        // The two threads take turns.
        nonisolated(unsafe) let engine = fixture.engine
        // The first writes allocate the file's blocks, which takes the submission long.
        for _ in 0..<16 {
            for request in requests { fixture.engine.submit(request) }
            fixture.engine.commit()
            try callInSandbox(as: CInt(CHOST_VCPU)) { unsafe engine.cancel() }
            var count = 0
            while fixture.engine.takeCompletion() != nil { count += 1 }
            #expect(count == 32)
        }
    }

    @Test(arguments: engines)
    func `data that ends early is an I/O error`(kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 8192)
        fixture.truncate(to: 6000)
        #expect(fixture.read(4096, at: 4096).error == .ioError)
        #expect(fixture.read(4096, at: 8192).error == .ioError)
        #expect(fixture.read(4096, at: 0).error == nil)
    }

    @Test(.enabled(if: getuid() == 0, "only root mounts file systems"), arguments: engines)
    func `a full file system is an error of the request that met it`(kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 8192)
        let full = try DiskOnLimitedFileSystem(byteCount: 64 << 20)
        let file = try DiskFile(path: FilePath(full.path), isReadOnly: false, isDirect: false)
        let engine = try kind.makeEngine(for: file, capacity: 4)
        let request = fixture.request(.write(isDurable: false), offset: 0, vectors: [8 << 20])
        engine.submit(request)
        var error: Errno?
        while engine.inFlightCount > 0 {
            engine.waitForCompletion()
            error = engine.takeCompletion()?.error
        }
        #expect(error == .noSpace)
        let small = fixture.request(.read, offset: 0, vectors: [4096])
        engine.submit(small)
        engine.waitForCompletion()
        #expect(engine.takeCompletion()?.error == nil)
    }

    @Test(arguments: engines)
    func `the far end of a disk of 2 TiB can be used, and costs a block`(kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 2 << 40)
        #expect(fixture.file.byteCount == 2 << 40)
        let bytes = Array(Self.pattern.prefix(4096))
        #expect(fixture.write(bytes, at: 2 << 40 - 4096) == nil)
        #expect(fixture.read(4096, at: 2 << 40 - 4096).bytes == bytes)
        #expect(fixture.perform(.flush) == nil)
        #expect(fixture.allocatedByteCount < 1 << 20)
    }

    // MARK: - Holes

    @Test(arguments: engines)
    func `a discard gives space back and keeps the size`(kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 1 << 20)
        try #require(fixture.file.canDiscard)
        for offset in stride(from: 0, to: 1 << 20, by: 65536) {
            #expect(fixture.write(Self.pattern, at: UInt64(offset)) == nil)
        }
        _ = fixture.perform(.flush)
        let before = fixture.allocatedByteCount
        #expect(fixture.perform(.discard, offset: 65536, byteCount: 1 << 19) == nil)
        #expect(fixture.allocatedByteCount <= before - 1 << 19)
        #expect(fixture.file.byteCount == 1 << 20)
        #expect(fixture.read(65536, at: 0).bytes == Self.pattern)
        #expect(fixture.read(65536, at: 65536).bytes.allSatisfy { $0 == 0 })
    }

    @Test(arguments: engines, [false, true])
    func `zeroes are there afterwards, and what is beside them stays`(kind: StorageEngineKind, mayUnmap: Bool) throws {
        let fixture = try EngineFixture(kind, byteCount: 65536)
        #expect(fixture.write(Self.pattern, at: 0) == nil)
        #expect(fixture.perform(.writeZeroes(mayUnmap: mayUnmap), offset: 512, byteCount: 40000) == nil)
        var expected = Self.pattern
        for index in 512..<40512 { expected[index] = 0 }
        #expect(fixture.read(65536, at: 0).bytes == expected)
        #expect(fixture.file.byteCount == 65536)
    }
}
