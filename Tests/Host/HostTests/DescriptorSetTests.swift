// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Host
import Synchronization
import SystemPackage
import Testing

@Suite struct DescriptorSetTests {
    private func takeEvents(_ set: DescriptorSet) -> [DescriptorSet.Event] {
        var events: [DescriptorSet.Event] = []
        set.takeEvents { events.append($0) }
        return events
    }

    @Test func `a descriptor is told of once for each event, with its token, until it is removed`() throws {
        let set = try DescriptorSet()
        let (first, second) = (try EventFD(), try EventFD())
        try set.add(first.descriptor, for: .readable, token: 1 << 40)
        try set.add(second.descriptor, for: .readable, token: 2)
        #expect(takeEvents(set).isEmpty)
        first.signal()
        let events = takeEvents(set)
        #expect(events.map(\.token) == [1 << 40])
        #expect(events.first?.isReadable == true)
        #expect(takeEvents(set).isEmpty)
        first.signal()
        #expect(takeEvents(set).count == 1)
        set.remove(first.descriptor)
        first.signal()
        second.signal()
        #expect(takeEvents(set).map(\.token) == [2])
    }

    @Test func `room to write is an event when it is asked for`() throws {
        let set = try DescriptorSet()
        let (reader, writer) = try FileDescriptor.pipe()
        defer { for end in [reader, writer] { try? end.close() } }
        try set.add(writer, for: [], token: 7)
        #expect(takeEvents(set).isEmpty)
        try set.change(writer, to: .writable, token: 8)
        let events = takeEvents(set)
        #expect(events.map(\.token) == [8])
        #expect(events.first?.isWritable == true && events.first?.isReadable == false)
    }

    @Test func `an end that goes away is an event of its own`() throws {
        let set = try DescriptorSet()
        let (reader, writer) = try FileDescriptor.pipe()
        defer { try? writer.close() }
        try set.add(reader, for: .readable, token: 1)
        try set.add(writer, for: [], token: 2)
        #expect(takeEvents(set).isEmpty)
        try reader.close()
        let events = takeEvents(set)
        #expect(events.map(\.token) == [2])
        #expect(events.first?.hasFailed == true)
    }

    @Test func `in an event loop it tells of descriptors that were added while the loop waits`() throws {
        let set = try DescriptorSet()
        let seen = DispatchSemaphore(value: 0)
        let tokens = Mutex<[UInt64]>([])
        let loop = try EventLoop(
            "test",
            sources: [
                EventLoop.Source(set.descriptor) {
                    set.takeEvents { event in
                        tokens.withLock { $0.append(event.token) }
                        seen.signal()
                    }
                }
            ]
        )
        try loop.start()
        defer { loop.stop() }
        let events = try (0..<100).map { _ in try EventFD() }
        for (token, event) in events.enumerated() {
            try set.add(event.descriptor, for: .readable, token: UInt64(token))
            event.signal()
            seen.wait()
        }
        #expect(tokens.withLock { $0 } == Array(0..<100))
    }

    @Test func `events that each cause another do not keep the thread, and none is lost`() throws {
        let set = try DescriptorSet()
        let event = try EventFD()
        try set.add(event.descriptor, for: .readable, token: 1)
        event.signal()
        set.takeEvents { _ in event.signal() }
        let left = Mutex(10_000)
        let finished = DispatchSemaphore(value: 0)
        let loop = try EventLoop(
            "test",
            sources: [
                EventLoop.Source(set.descriptor) {
                    set.takeEvents { _ in
                        let count = left.withLock { left in
                            left -= 1
                            return left
                        }
                        if count > 0 { event.signal() }
                        if count == 0 { finished.signal() }
                    }
                }
            ]
        )
        try loop.start()
        defer { loop.stop() }
        #expect(finished.wait(timeout: .now() + 60) == .success)
    }
}
