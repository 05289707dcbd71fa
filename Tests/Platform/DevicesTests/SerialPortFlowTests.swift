// SPDX-License-Identifier: Apache-2.0

import Devices
import Dispatch
import Glibc
import Synchronization
import TestSupport
import Testing

/// An output that is full above 64 bytes and drops beyond 128.
private final class BoundedOutput: SerialOutput {
    private struct Contents {
        var queue: [UInt8] = []
        var dropped = 0
        var owesCall = false
    }

    private let contents = Mutex(Contents())

    var hasRoom: Bool {
        contents.withLock { contents in
            if contents.queue.count >= 64 { contents.owesCall = true }
            return contents.queue.count < 64
        }
    }

    func write(_ byte: UInt8) -> Bool {
        contents.withLock { contents in
            if contents.queue.count < 128 { contents.queue.append(byte) } else { contents.dropped += 1 }
            if contents.queue.count >= 64 { contents.owesCall = true }
            return contents.queue.count < 64
        }
    }

    var droppedCount: Int { contents.withLock { $0.dropped } }

    /// Takes bytes out.
    ///
    /// - Returns: The bytes, and whether the port must be told that there is room.
    func drain(atMost count: Int) -> (bytes: [UInt8], mustCall: Bool) {
        contents.withLock { contents in
            let bytes = Array(contents.queue.prefix(count))
            contents.queue.removeFirst(bytes.count)
            let mustCall = contents.owesCall && contents.queue.count < 64
            if mustCall { contents.owesCall = false }
            return (bytes, mustCall)
        }
    }
}

/// Ends two threads that wait for each other's signals if one never comes.
private final class Watchdog: Sendable {
    private let stuck = Atomic<Bool>(false)
    private let deadline = Deadline()

    var isStuck: Bool { stuck.load(ordering: .relaxed) }

    /// Spins; gives up, for everybody, at the deadline.
    func wait(until condition: () -> Bool) -> Bool {
        while !isStuck {
            for _ in 0..<1000 {
                if condition() { return true }
                sched_yield()
            }
            if deadline.hasPassed { stuck.store(true, ordering: .relaxed) }
        }
        return false
    }
}

/// Runs both at the same time, one on a thread of its own: the shared ones may all be at other tests.
private func runTogether(_ first: () -> Void, _ second: @escaping @Sendable () -> Void) {
    let group = DispatchGroup()
    DispatchQueue(label: "test.second").async(group: group, execute: second)
    first()
    group.wait()
}

/// No byte is lost, none comes twice, all come in order, and nobody waits for a signal that never comes.
@Suite struct SerialPortFlowTests {
    @Test(arguments: UInt64(1)...20)
    func `input reaches a guest that stalls, reopens and resets at random`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let rig = SerialRig()
        let driver = LinuxSerialDriver(port: rig.port)
        let sent = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) }
        var waiting = sent[...]
        var received: [UInt8] = []
        var isOpen = false
        var idleRounds = 0
        _ = driver.autoconfigure()
        // The host sends at the start and then only when it is called; the guest reads only when it is interrupted.
        waiting.removeFirst(rig.send(Array(waiting.prefix(300))))
        while received.count < sent.count, idleRounds < 10_000 {
            idleRounds += 1
            if rig.input.takeCalls() > 0 {
                waiting.removeFirst(rig.send(Array(waiting.prefix(Int.random(in: 17...300, using: &random)))))
            }
            switch Int.random(in: 0..<40, using: &random) {
            case 0 where isOpen:
                driver.shutDown()
                isOpen = false
            case 1 where isOpen:
                driver.setTermios()
            case 2 where isOpen:
                rig.port.write(UInt8(0x87), at: Reg.fcr)
            case 3:
                _ = isOpen ? 0 : driver.measureFIFO()
            case 4:
                rig.port.write(UInt8(0x41), at: Reg.data)
            case _ where !isOpen:
                _ = driver.startUp()
                driver.setTermios()
                isOpen = true
            case 5..<20 where rig.line.takeEdges() > 0:
                // A driver that reads a part and returns, knowing that it will be interrupted again.
                let identification = rig.port.read(Reg.iir) & 0x0f
                guard identification == 4 || identification == 12 else { continue }
                received.append(rig.port.read(Reg.data))
                idleRounds = 0
                if identification == 4 {
                    // Above the trigger level there is no new edge: such a driver continues.
                    while rig.port.read(Reg.iir) & 0x0f == 4 {
                        received.append(rig.port.read(Reg.data))
                    }
                }
            case _ where rig.line.takeEdges() > 0:
                received += driver.handleInterrupts()
                idleRounds = 0
            default:
                break
            }
        }
        #expect(received == sent)
    }

    @Test(arguments: UInt64(1)...10)
    func `input reaches a guest that polls`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let rig = SerialRig()
        let sent = (0..<2000).map { _ in UInt8.random(in: 0...255, using: &random) }
        var waiting = sent[...]
        var received: [UInt8] = []
        var rounds = 0
        waiting.removeFirst(rig.send(Array(waiting.prefix(40))))
        while received.count < sent.count, rounds < 1_000_000 {
            rounds += 1
            if rig.input.takeCalls() > 0 {
                waiting.removeFirst(rig.send(Array(waiting.prefix(40))))
            }
            switch Int.random(in: 0..<200, using: &random) {
            case 0: rig.port.write(UInt8(0x07), at: Reg.fcr)
            case 1: rig.port.write(UInt8(0x00), at: Reg.fcr)
            case 2: rig.port.write(UInt8(0x41), at: Reg.data)
            case 3: rig.port.write(UInt8(0x03), at: Reg.lcr)
            default:
                if rig.port.read(Reg.lsr) & 1 != 0 { received.append(rig.port.read(Reg.data)) }
            }
        }
        #expect(received == sent)
    }

    @Test(arguments: UInt64(1)...20)
    func `output passes a host that stalls at random`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let line = RecordingInterruptLine()
        let output = BoundedOutput()
        let port = SerialPort(interrupt: line, output: output)
        let driver = LinuxSerialDriver(port: port)
        _ = driver.startUp()
        driver.setTermios()
        let sent = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) }
        var waiting = sent[...]
        var received: [UInt8] = []
        var rounds = 0
        _ = line.takeEdges()
        driver.startTransmitting()
        while received.count < sent.count, rounds < 100_000 {
            rounds += 1
            if Bool.random(using: &random), line.takeEdges() > 0 {
                _ = driver.handleInterrupts { waiting.popFirst() }
            }
            guard Int.random(in: 0..<4, using: &random) == 0 else { continue }
            let (bytes, mustCall) = output.drain(atMost: Int.random(in: 0...100, using: &random))
            received += bytes
            if mustCall { port.outputBecameReady() }
        }
        #expect(received == sent)
        #expect(output.droppedCount == 0)
    }

    @Test func `no readiness is lost between a sending vCPU and a draining thread`() {
        let line = RecordingInterruptLine()
        let output = BoundedOutput()
        let port = SerialPort(interrupt: line, output: output)
        let watchdog = Watchdog()
        port.write(UInt8(0x81), at: Reg.fcr)
        port.write(UInt8(0x08), at: Reg.mcr)
        let count = 20_000
        let received = Mutex<[UInt8]>([])
        runTogether {
            var next = 0
            port.write(UInt8(0x02), at: Reg.ier)
            // Purely by interrupt.
            while next < count, watchdog.wait(until: { line.takeEdges() > 0 }) {
                guard port.read(Reg.iir) == 0xc2 else { continue }
                for _ in 0..<16 where next < count {
                    port.write(UInt8(truncatingIfNeeded: next), at: Reg.data)
                    next += 1
                }
            }
        } _: {
            _ = watchdog.wait {
                let (bytes, mustCall) = output.drain(atMost: 100)
                if mustCall { port.outputBecameReady() }
                return received.withLock { received in
                    received += bytes
                    return received.count >= count
                }
            }
        }
        #expect(!watchdog.isStuck)
        #expect(received.withLock { $0 } == (0..<count).map { UInt8(truncatingIfNeeded: $0) })
        #expect(output.droppedCount == 0)
    }

    @Test func `no call for input is lost between a typing thread and a reading vCPU`() {
        let line = RecordingInterruptLine()
        let input = RecordingSerialInput()
        let port = SerialPort(interrupt: line, output: RecordingSerialOutput(), input: input)
        let watchdog = Watchdog()
        port.write(UInt8(0x81), at: Reg.fcr)
        port.write(UInt8(0x08), at: Reg.mcr)
        port.write(UInt8(0x01), at: Reg.ier)
        let sent = (0..<5_000).map { UInt8(truncatingIfNeeded: $0) }
        let received = Mutex<[UInt8]>([])
        runTogether {
            var waiting = sent[...]
            waiting.removeFirst(port.receive(waiting.span))
            _ = watchdog.wait {
                if input.takeCalls() > 0 { waiting.removeFirst(port.receive(waiting.span)) }
                return received.withLock { $0.count } >= sent.count
            }
        } _: {
            while received.withLock({ $0.count }) < sent.count, watchdog.wait(until: { line.takeEdges() > 0 }) {
                while port.read(Reg.iir) & 1 == 0 {
                    let byte = port.read(Reg.data)
                    received.withLock { $0.append(byte) }
                }
            }
        }
        #expect(!watchdog.isStuck)
        #expect(received.withLock { $0 } == sent)
    }
}
