// SPDX-License-Identifier: Apache-2.0

import CStorage
import Host
@testable import Storage
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// Errors of io_uring_enter(2) itself, as a sandbox or a host without memory gives them.
@Suite(.timeLimit(.minutes(10))) struct IOUringFailureTests {
    private let folder: TemporaryFolder
    private let file: DiskFile

    init() throws {
        folder = try TemporaryFolder()
        let path = try folder.write([UInt8](repeating: 0x5a, count: 1 << 20), to: "disk")
        file = try DiskFile(path: FilePath(path), isReadOnly: false, isDirect: false)
    }

    @Test(
        arguments: [Errno.notPermitted, .noMemory, .badFileDescriptor, .resourceTemporarilyUnavailable, .resourceBusy],
        [0, 1, 3]
    )
    func `when the ring fails, plain calls do what it has not done, and it is said once`(error: Errno, first: Int)
        throws
    {
        let messages = Messages()
        let calls = Calls()
        let engine = try unsafe IOUringEngine(
            file: file,
            capacity: 32,
            completionEvent: EventFD(),
            report: { messages.append($0) },
            enter: { ring in
                calls.next() < first ? unsafe cstorage_ring_submit(ring) : -error.rawValue
            }
        )
        let fixture = try EngineFixture(.threads, byteCount: 4096)
        for _ in 0..<4 {
            var memory: [EngineFixture.RequestMemory] = []
            for slot in 0..<32 {
                let request = fixture.request(.read, slot: slot, offset: UInt64(slot) << 12, vectors: [4096])
                memory.append(EngineFixture.RequestMemory(of: request))
                engine.submit(request)
            }
            engine.commit()
            var slots: Set<Int> = []
            while engine.inFlightCount > 0 {
                engine.waitForCompletion()
                while let completion = engine.takeCompletion() {
                    #expect(completion.error == nil)
                    #expect(slots.insert(completion.slot).inserted)
                }
            }
            #expect(slots.count == 32)
            #expect(memory.allSatisfy { $0.bytes.allSatisfy { $0 == 0x5a } })
        }
        #expect(messages.all == ["io_uring: \(error): the disk continues with plain system calls, more slowly"])
    }

    @Test func `a call that is always to be repeated is an error in the end`() throws {
        var request = StorageRequest(slot: 0)
        request.operation = .flush
        for error in [Errno.interrupted, .resourceTemporarilyUnavailable] {
            var job = StorageJob(request, on: file)
            var count = 0
            while case .sync = job.step {
                job.advance(-Int(error.rawValue))
                count += 1
            }
            guard case .done(let last) = job.step, last == error else {
                Issue.record("the error is lost")
                continue
            }
            #expect(count > 1)
        }
    }
}

private final class Messages: Sendable {
    private let messages = Mutex<[String]>([])
    var all: [String] { messages.withLock { $0 } }
    func append(_ message: String) { messages.withLock { $0.append(message) } }
}

private final class Calls: Sendable {
    private let count = Atomic<Int>(0)
    func next() -> Int { count.wrappingAdd(1, ordering: .relaxed).oldValue }
}
