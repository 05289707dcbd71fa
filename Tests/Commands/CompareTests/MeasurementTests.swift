// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Testing

@testable import Compare

@Suite struct MeasurementTests {
    @Test func `what one more instance takes is the slope of the line through all loads`() {
        let loads = [(1, 15.0), (2, 25), (5, 55), (10, 105)].map { Section.Load(instances: $0.0, byteCount: $0.1) }
        #expect(abs(DensityMeasurement.slope(loads) - 10) < 1e-9)
        #expect(DensityMeasurement.slope([.init(instances: 4, byteCount: 20)]) == 5)
        #expect(DensityMeasurement.slope([]) == 0)
    }

    @Test func `a ratio says how many times more something costs, also where more is better`() {
        let cells: [EnvironmentKind: Cell] = [.process: .samples([100]), .machine: .samples([20])]
        #expect(Row(title: "", cells: cells).ratio(.machine) == 0.2)
        #expect(Row(title: "", cells: cells, largerIsBetter: true).ratio(.machine) == 5)
        #expect(Row(title: "", cells: cells).ratio(.container) == nil)
        #expect(Row(title: "", cells: cells, hasRatio: false).ratio(.machine) == nil)
    }

    @Test func `memory of a process that is not there is nothing`() {
        #expect(MemoryUse.proportionalByteCount([pid_t.max]) == 0)
        #expect(MemoryUse.proportionalByteCount([getpid()]) > 0)
        #expect(MemoryUse.guestByteCount(pid_t.max) == 0)
    }

    @Test func `the text of a process that has divided it is no guest's memory`() async {
        await #expect(processExitsWith: .success) {
            ProcessMemory.giveBack()
            exit(MemoryUse.guestByteCount(getpid()) == 0 ? 0 : 1)
        }
    }

    @Test func `a program that needs a dynamic linker is told from a static one`() throws {
        #expect(ELFProgram.needsInterpreter(try Files.bytes("/bin/sh")))
        #expect(!ELFProgram.needsInterpreter([0x7f] + Array("ELF".utf8)))
        // A table of headers that lies outside the file.
        #expect(!ELFProgram.needsInterpreter(Array(repeating: 0xff, count: 100)))
    }
}
