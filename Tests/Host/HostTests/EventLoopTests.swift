// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Host
import Synchronization
import Testing

@Suite struct EventLoopTests {
    @Test func `an event is one until it is taken, however often it happened`() throws {
        let event = try EventFD()
        #expect(event.take() == 0)
        event.signal()
        event.signal()
        #expect(event.take() == 2)
        #expect(event.take() == 0)
    }

    @Test func `each descriptor has its own handler called, also for what happened before the start`() throws {
        let (first, second) = (try EventFD(), try EventFD())
        let (firstSeen, secondSeen) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let loop = try EventLoop(
            "test",
            sources: [
                EventLoop.Source(first.descriptor) { firstSeen.signal() },
                EventLoop.Source(second.descriptor) { secondSeen.signal() },
            ]
        )
        second.signal()
        try loop.start()
        secondSeen.wait()
        for _ in 0..<100 {
            first.signal()
            firstSeen.wait()
        }
        loop.stop()
        #expect(firstSeen.wait(timeout: .now()) == .timedOut)
    }

    @Test func `after stop no handler is called any more`() throws {
        let event = try EventFD()
        let count = Atomic<Int>(0)
        let loop = try EventLoop(
            "test",
            sources: [
                // Happens again and again, until the very end.
                EventLoop.Source(event.descriptor) {
                    count.wrappingAdd(1, ordering: .relaxed)
                    event.signal()
                }
            ]
        )
        try loop.start()
        event.signal()
        while count.load(ordering: .relaxed) == 0 {}
        loop.stop()
        let last = count.load(ordering: .relaxed)
        for _ in 0..<1000 { #expect(count.load(ordering: .relaxed) == last) }
    }

    @Test func `a loop that was never started stops at once`() throws {
        try EventLoop("test", sources: []).stop()
    }

    @Test func `a timer fires once for each time that it is armed`() throws {
        let timer = try TimerFD()
        let fired = DispatchSemaphore(value: 0)
        let loop = try EventLoop(
            "test",
            sources: [EventLoop.Source(timer.descriptor) { fired.signal() }]
        )
        try loop.start()
        for delay in [Duration.zero, .milliseconds(1), .nanoseconds(-5)] {
            timer.arm(after: delay)
            fired.wait()
        }
        timer.arm(after: .seconds(3600))
        loop.stop()
        #expect(fired.wait(timeout: .now()) == .timedOut)
    }
}
