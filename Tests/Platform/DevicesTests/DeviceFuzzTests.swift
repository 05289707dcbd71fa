// SPDX-License-Identifier: Apache-2.0

import Devices
import Logging
import TestSupport
import Testing

/// Every device under a guest that does anything at any time: nothing traps, and what must hold holds.
@Suite struct DeviceFuzzTests {
    private static let operationCount = 200_000

    private let line = RecordingInterruptLine()
    private let requests = RecordingGuestRequests()
    private let log = RecordingLog()

    private func faults(_ device: String) -> GuestFaultLog { GuestFaultLog(device: device, logger: log.logger) }

    /// One random access; offsets are mostly inside the window, sometimes anywhere.
    private func access(_ device: any BusDevice, offsets: UInt64, using random: inout SeededGenerator) {
        let isWild = Int.random(in: 0..<50, using: &random) == 0
        let offset = isWild ? random.next() : UInt64.random(in: 0..<offsets, using: &random)
        let value = random.next()
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1, 2: _ = device.read(UInt8.self, at: offset)
        case 3, 4, 5: device.write(UInt8(truncatingIfNeeded: value), at: offset)
        default:
            switch Int.random(in: 0..<6, using: &random) {
            case 0: _ = device.read(UInt16.self, at: offset)
            case 1: _ = device.read(UInt32.self, at: offset)
            case 2: _ = device.read(UInt64.self, at: offset)
            case 3: device.write(UInt16(truncatingIfNeeded: value), at: offset)
            case 4: device.write(UInt32(truncatingIfNeeded: value), at: offset)
            default: device.write(value, at: offset)
            }
        }
    }

    @Test func `the serial port`() {
        var random = SeededGenerator(seed: 16_550)
        let faults = faults("serial port")
        let output = RecordingSerialOutput()
        let input = RecordingSerialInput()
        var port = SerialPort(interrupt: line, output: output, input: input, faults: faults)
        for step in 0..<Self.operationCount {
            switch Int.random(in: 0..<20, using: &random) {
            case 0:
                let bytes = [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: step % 40)
                #expect(port.receive(bytes.span) <= 16)
            case 1: _ = port.receiveBreak()
            case 2: port.setModemInputs(ModemInputs(rawValue: UInt8.random(in: 0...255, using: &random)))
            case 3:
                output.setRoom(Bool.random(using: &random))
                port.outputBecameReady()
            default: access(port, offsets: 8, using: &random)
            }
            guard step % 256 == 0 else { continue }
            let state = port.state
            let held = state.heldInput.count
            #expect(state.receiverFIFO.count <= (state.fifoControl & 1 != 0 ? 16 : 1))
            #expect(held + state.receiverFIFO.count(where: { !$0.isLoopedBack }) <= 16)
            #expect(!state.heldInput.contains { $0.isLoopedBack })
            let copy = SerialPort(state: state, interrupt: line, output: output, input: input, faults: faults)
            #expect(copy.state == state)
            if step % 1024 == 0 { port = copy }
        }
        #expect(log.messages.count < 100)
    }

    @Test func `the keyboard controller`() {
        var random = SeededGenerator(seed: 8042)
        let faults = faults("keyboard controller")
        var controller = I8042(interrupt: line, faults: faults, onRequest: requests.handler)
        for step in 0..<Self.operationCount {
            let isCommand = Bool.random(using: &random)
            access(isCommand ? controller.commandPort : controller.dataPort, offsets: 1, using: &random)
            if step % 16 == 0 { _ = controller.pressCtrlAltDelete() }
            guard step % 256 == 0 else { continue }
            let state = controller.state
            #expect(state.memory.count == 32)
            #expect(state.memory[0] & 0x20 != 0)
            #expect(state.keyboard.output.count <= 16)
            #expect(state.outputPort & 1 != 0)
            controller = I8042(state: state, interrupt: line, faults: faults, onRequest: requests.handler)
            #expect(controller.state == state)
        }
        #expect(
            requests.requests.allSatisfy { request in
                if case .keyboardLights(0...7) = request { true } else { request == .reset }
            }
        )
    }

    @Test func `the real-time clock`() {
        var random = SeededGenerator(seed: 146_818)
        let faults = faults("clock")
        let clock = ManualClock(secondsSince1970: 1_800_000_000)
        var rtc = RealTimeClock(interrupt: line, faults: faults) { clock.now }
        for step in 0..<Self.operationCount {
            if step % 4 == 0 {
                let index = Int.random(in: 0..<16, using: &random)
                rtc.write(index == 15 ? UInt8(0x32) : UInt8(index), at: 0)
            }
            access(rtc, offsets: 2, using: &random)
            switch Int.random(in: 0..<20, using: &random) {
            case 0: clock.advance(by: .milliseconds(Int.random(in: -10...10_000, using: &random)))
            case 1: clock.advance(by: .seconds(Int.random(in: -1_000_000...1_000_000_000, using: &random)))
            case 2: rtc.timerFired()
            default: break
            }
            guard step % 256 == 0 else { continue }
            let state = rtc.state
            #expect(state.memory.count == 128)
            #expect(state.index < 128)
            rtc = RealTimeClock(state: state, interrupt: line, faults: faults) { clock.now }
            #expect(rtc.state == state)
        }
    }

    @Test func `the power devices`() {
        var random = SeededGenerator(seed: 5)
        let devices: [(any BusDevice, UInt64)] = [
            (ACPIPowerPort(interrupt: line, faults: faults("acpi"), onRequest: requests.handler), 4),
            (Pvpanic(faults: faults("pvpanic"), onRequest: requests.handler), 1),
            (ExitStatusPort(faults: faults("exit"), onRequest: requests.handler), 1),
            (PCIHostBridge(onRequest: requests.handler), 8),
        ]
        for step in 0..<3 * Self.operationCount {
            let (device, offsets) = devices[step % devices.count]
            access(device, offsets: offsets, using: &random)
        }
        #expect(log.messages.count < 200)
    }

    @Test func `a bus with every device, at any address`() throws {
        var random = SeededGenerator(seed: 0x3f8)
        let controller = I8042(interrupt: line, faults: faults("i8042"), onRequest: requests.handler)
        var builder = BusBuilder.ports
        let devices: [(any BusDevice, UInt64, UInt64)] = [
            (controller.dataPort, 0x60, 1), (controller.commandPort, 0x64, 1),
            (RealTimeClock(interrupt: line) { .seconds(1) }, 0x70, 2),
            (SerialPort(interrupt: line, output: RecordingSerialOutput()), 0x3f8, 8),
            (ExitStatusPort(onRequest: requests.handler), 0x501, 1),
            (Pvpanic(onRequest: requests.handler), 0x505, 1),
            (ACPIPowerPort(interrupt: line, onRequest: requests.handler), 0x600, 4),
            (PCIHostBridge(onRequest: requests.handler), 0xcf8, 8),
        ]
        for (device, start, byteCount) in devices {
            try builder.insert(device, at: BusRange(start: start, byteCount: byteCount), named: "\(type(of: device))")
        }
        let bus = builder.build(faults: faults("port bus"))
        let starts = devices.map(\.1)
        for _ in 0..<Self.operationCount {
            let start = starts[Int.random(in: 0..<starts.count, using: &random)]
            let near = start &+ UInt64.random(in: 0..<12, using: &random)
            let address = Int.random(in: 0..<8, using: &random) == 0 ? random.next() : near &- 2
            let value = random.next()
            switch Int.random(in: 0..<8, using: &random) {
            case 0: _ = bus.read(UInt8.self, at: address)
            case 1: _ = bus.read(UInt16.self, at: address)
            case 2: _ = bus.read(UInt32.self, at: address)
            case 3: _ = bus.read(UInt64.self, at: address)
            case 4: bus.write(UInt8(truncatingIfNeeded: value), at: address)
            case 5: bus.write(UInt16(truncatingIfNeeded: value), at: address)
            case 6: bus.write(UInt32(truncatingIfNeeded: value), at: address)
            default: bus.write(value, at: address)
            }
        }
        #expect(bus.unclaimedAccessCount > 0)
        #expect(log.messages.count < 200)
    }
}
