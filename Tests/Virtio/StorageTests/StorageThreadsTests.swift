// SPDX-License-Identifier: Apache-2.0

import Host
import Storage
import Synchronization
import TestSupport
import Testing

@Suite struct StorageThreadsTests {
    @Test func `the threads of an engine pass the gate under the name of the disk`() throws {
        let names = Mutex<Set<String>>([])
        let gate = StartGate { name in names.withLock { _ = $0.insert(name) } }
        let threads = StorageThreads("vda")
        let fixture = try EngineFixture(.threads, byteCount: 65536, threads: threads)
        try threads.start(gate: gate)
        try gate.waitForAll(within: .seconds(600))
        #expect(names.withLock { $0 } == Set((0..<24).map { "vda io \($0)" }))
        gate.open()
        #expect(fixture.perform(.flush) == nil)
    }

    @Test func `an engine that needs threads after the start does everything on its own thread`() throws {
        let threads = StorageThreads("vda")
        try threads.start()
        let fixture = try EngineFixture(.threads, byteCount: 1 << 20, threads: threads)
        let bytes = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        #expect(fixture.write(bytes, at: 512) == nil)
        #expect(fixture.perform(.flush) == nil)
        #expect(fixture.perform(.discard, offset: 1 << 19, byteCount: 4096) == nil)
        for slot in 0..<32 {
            fixture.engine.submit(fixture.request(.read, slot: slot, offset: 0, vectors: [65536]))
        }
        fixture.engine.commit()
        var slots: Set<Int> = []
        while let completion = fixture.engine.takeCompletion() {
            #expect(completion.error == nil)
            slots.insert(completion.slot)
        }
        #expect(slots.count == 32)
        #expect(fixture.read(40_000, at: 512).bytes == bytes)
    }
}
