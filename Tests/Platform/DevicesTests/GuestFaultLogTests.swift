// SPDX-License-Identifier: Apache-2.0

import Devices
import Logging
import TestSupport
import Testing

@Suite struct GuestFaultLogTests {
    @Test func `the first faults are logged with the name of the device`() {
        let log = RecordingLog()
        let faults = GuestFaultLog(device: "serial port", logger: log.logger)
        faults.record("odd")
        #expect(log.messages == ["serial port: odd"])
    }

    @Test func `a flood is counted in full and logged by powers of two`() {
        let log = RecordingLog()
        let faults = GuestFaultLog(device: "bus", logger: log.logger)
        for number in 1...100_000 {
            faults.record("fault \(number)")
        }
        #expect(faults.count == 100_000)
        #expect(log.messages.count == 8 + 13)
        #expect(log.messages.last == "bus: fault 65536")
    }

    @Test func `a message that is not due is never made`() {
        let log = RecordingLog()
        let faults = GuestFaultLog(device: "bus", logger: log.logger)
        var made = 0
        func message() -> String {
            made += 1
            return "fault"
        }
        for _ in 0..<1000 {
            faults.record(message())
        }
        #expect(made == log.messages.count)
    }
}
