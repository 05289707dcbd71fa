// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Host
import Synchronization
import Testing

@Suite struct PausePointTests {
    /// A thread that counts its rounds until it is told to end.
    private final class Counter: Sendable {
        let rounds = Atomic<Int>(0)
        let pauses = Atomic<Int>(0)
        let point = PausePoint()
        private let isEnding = Atomic<Bool>(false)
        private let ended = DispatchGroup()

        init() {
            DispatchQueue(label: "counter").async(group: ended) { [self] in
                while !isEnding.load(ordering: .relaxed) {
                    if point.pass() { pauses.add(1, ordering: .relaxed) }
                    rounds.add(1, ordering: .relaxed)
                }
                point.end()
            }
        }

        func end() {
            isEnding.store(true, ordering: .relaxed)
            point.release()
            ended.wait()
        }
    }

    private func hold(_ point: PausePoint) {
        let arrival = DispatchGroup()
        point.hold(joining: arrival)
        arrival.wait()
    }

    @Test func `a held thread does nothing until it is released, any number of times`() {
        let counter = Counter()
        for pause in 1...1000 {
            hold(counter.point)
            let rounds = counter.rounds.load(ordering: .relaxed)
            #expect(counter.rounds.load(ordering: .relaxed) == rounds)
            counter.point.release()
            #expect(counter.pauses.load(ordering: .relaxed) <= pause)
        }
        counter.end()
        #expect(counter.pauses.load(ordering: .relaxed) == 1000)
    }

    @Test func `a thread that has ended keeps nobody waiting`() {
        let counter = Counter()
        counter.end()
        hold(counter.point)
    }

    @Test func `a thread that ends while somebody waits for it lets them go`() {
        let counter = Counter()
        let arrival = DispatchGroup()
        counter.point.hold(joining: arrival)
        counter.end()
        arrival.wait()
    }

    @Test func `to hold twice is to hold once`() {
        let counter = Counter()
        hold(counter.point)
        hold(counter.point)
        counter.point.release()
        counter.end()
    }

    @Test func `a release without a hold is nothing`() {
        let counter = Counter()
        counter.point.release()
        hold(counter.point)
        counter.end()
    }
}
