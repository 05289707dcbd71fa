// SPDX-License-Identifier: Apache-2.0

import Devices
import GuestMemory
import Host
import Machine
import Platform
import Synchronization
import TestSupport
import Testing

@Suite struct SnapshotPointTests {
    private let memory: GuestMemory
    private let keyboard: I8042
    private let point: SnapshotPoint
    private let timers = WorkThread("timers")

    init() throws {
        memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 1 << 20)])
        var state = I8042State()
        state.keyboard.leds = 2
        keyboard = I8042(state: state, interrupt: RecordingInterruptLine(), onRequest: { _ in })
        point = SnapshotPoint(page: IdentityPage(in: memory), keyboard: keyboard)
    }

    private func number(at offset: UInt64) throws -> UInt32 {
        try memory.load(UInt32.self, at: GuestAddress(rawValue: X86Layout.identityPage.rawValue + offset))
    }

    private var answers: UInt32 { get throws { try number(at: 8) } }

    /// A number that is counted from other threads.
    private final class Counter: Sendable {
        private let count = Atomic<Int>(0)
        var value: Int { count.load(ordering: .sequentiallyConsistent) }
        func add() { count.add(1, ordering: .sequentiallyConsistent) }
    }

    @Test func `a guest that nobody waits for goes on at once`() throws {
        #expect(point.isUsed)
        point.handle(lights: 3)
        #expect(try answers == 1)
        point.handle(lights: 2)
        #expect(try answers == 1)
    }

    @Test func `a guest that has not booted yet is told that somebody waits for it, and no other is`() throws {
        point.handle(lights: 3)
        #expect(try number(at: 128) == 0)
        let ready = Counter()
        point.whenReady { ready.add() }
        #expect(try number(at: 128) == 1)
        point.handle(lights: 3)
        #expect(ready.value == 1)
    }

    @Test func `a guest that is asked waits until it is let go, and each that asked is called once`() throws {
        let (first, second) = (Counter(), Counter())
        point.ask(on: timers) { first.add() }
        point.ask(on: timers) { second.add() }
        #expect(keyboard.commandPort.read(UInt8.self, at: 0) & 1 == 1)
        #expect(first.value == 0)
        point.handle(lights: 3)
        #expect((first.value, second.value) == (1, 1))
        #expect(try answers == 0)
        point.letGo()
        #expect(try answers == 1)
        point.handle(lights: 2)
        point.handle(lights: 3)
        #expect((first.value, second.value) == (1, 1))
        #expect(try answers == 2)
    }

    @Test func `a guest whose keyboard is off is not waited for`() {
        keyboard.dataPort.write(UInt8(0xf5), at: 0)
        let asked = Counter()
        point.ask(on: timers) { asked.add() }
        #expect(asked.value == 1)
    }

    @Test func `a guest that does not answer is not waited for beyond its time, nor beyond its end`() throws {
        let (late, ended) = (Counter(), Counter())
        point.ask(on: timers) { ended.add() }
        point.abandon()
        #expect(ended.value == 1)
        try timers.start()
        defer { timers.finish() }
        point.ask(on: timers) { late.add() }
        #expect(late.value == 0)
        try Deadline.wait(for: "the end of the time") { late.value == 1 }
        #expect(ended.value == 1)
        // It is late, and continues at once.
        point.handle(lights: 3)
        #expect(try answers == 1)
    }

    @Test func `a guest that has lost the key is asked again`() throws {
        func isKeyThere() -> Bool { keyboard.commandPort.read(UInt8.self, at: 0) & 1 == 1 }
        let asked = Counter()
        try timers.start()
        defer { timers.finish() }
        point.ask(on: timers) { asked.add() }
        while isKeyThere() { _ = keyboard.dataPort.read(UInt8.self, at: 0) }
        try Deadline.wait(for: "the key") { isKeyThere() }
        #expect(asked.value == 0)
        point.handle(lights: 3)
        #expect(asked.value == 1)
    }

    @Test func `a restored guest that was not ready is asked, and its random numbers are forgotten when it has them`()
        throws
    {
        point.renewIdentity(time: nil, name: "x")
        #expect(try number(at: 12) == 1)
        #expect(keyboard.commandPort.read(UInt8.self, at: 0) & 1 == 1)
        #expect(try number(at: 32) != 0 || number(at: 36) != 0)
        point.handle(lights: 3)
        point.handle(lights: 2)
        #expect(try (number(at: 32), number(at: 36)) == (0, 0))
    }

    /// The guest's lights, as its driver sends them.
    private func setLights(_ lights: UInt8) {
        for byte in [0xed, lights] { keyboard.dataPort.write(byte, at: 0) }
        point.handle(lights: keyboard.keyboardLights)
    }

    @Test func `a guest that was let go is not taken for ready, though its light is still to go out`() throws {
        setLights(3)
        #expect(try answers == 1)
        #expect(point.isUsed)
        #expect(keyboard.keyboardLights == 2)
        // A machine restored from this state gets the sleep key, which makes the guest look for its identity.
        let restored = I8042(state: keyboard.state, interrupt: RecordingInterruptLine(), onRequest: { _ in })
        SnapshotPoint(page: IdentityPage(in: memory), keyboard: restored).renewIdentity(time: nil, name: "")
        #expect(restored.commandPort.read(UInt8.self, at: 0) & 1 == 1)
    }
}
