// SPDX-License-Identifier: Apache-2.0

import Firmware
import Platform
import GuestMemory
import Testing

@Suite struct ResetVectorTests {
    @Test func `the code fits between the ACPI tables and the end of the first megabyte`() throws {
        let end = X86Layout.acpiTables.advanced(by: X86Layout.acpiTablesCapacity)
        #expect(try #require(end) <= X86Layout.resetVector)
        #expect(X86Layout.resetVector.rawValue + UInt64(ResetVector.code.count) <= X86Layout.highMemory.rawValue)
    }

    @Test func `the code writes 1 to the reset port and halts`() throws {
        let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 1 << 20)])
        try ResetVector.install(in: memory)
        let code = try memory.read(byteCount: 10, at: 0xf_fff0)
        #expect(code == bytes("ba 02 06  b0 01  ee  fa  f4  eb fd"))
    }

    @Test func `installing outside guest memory throws`() throws {
        let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 0xa_0000)])
        #expect(throws: FirmwareError.memory(.outOfRange(0xf_fff0, byteCount: 10))) {
            try ResetVector.install(in: memory)
        }
    }
}
