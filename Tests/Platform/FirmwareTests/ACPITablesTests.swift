// SPDX-License-Identifier: Apache-2.0

import Firmware
import Platform
import GuestMemory
import Testing

@Suite struct ACPITablesTests {
    private func table(_ signature: String, of description: FirmwareDescription) throws -> [UInt8] {
        try #require(ACPITables(description).tables.first { $0.table.signature == signature }).table.bytes
    }

    // MARK: - The set

    @Test func `the RSDP leads to every table in guest memory`() throws {
        let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 1 << 20)])
        let rsdpAddress = try ACPITables(.example(cpus: 2, virtioDevices: 3)).install(in: memory)
        #expect(rsdpAddress == X86Layout.acpiTables)

        let rsdp = try memory.read(byteCount: 36, at: rsdpAddress)
        #expect(rsdp.prefix(8) == Array("RSD PTR ".utf8)[...])
        #expect(rsdp[15] == 2)
        #expect(rsdp.integer(UInt32.self, at: 20) == 36)
        #expect(rsdp.prefix(20).checksum == 0)
        #expect(rsdp.checksum == 0)

        func checked(_ address: UInt64, _ signature: String) throws -> [UInt8] {
            let byteCount = try memory.load(UInt32.self, at: GuestAddress(rawValue: address + 4))
            let bytes = try memory.read(byteCount: Int(byteCount), at: GuestAddress(rawValue: address))
            #expect(address % 16 == 0)
            #expect(bytes.prefix(4) == Array(signature.utf8)[...])
            #expect(bytes.checksum == 0)
            #expect(bytes[10..<16] == Array("MARTLT".utf8)[...])
            return bytes
        }
        let xsdt = try checked(rsdp.integer(at: 24), "XSDT")
        #expect(xsdt.count == 36 + 2 * 8)
        let fadt = try checked(xsdt.integer(at: 36), "FACP")
        _ = try checked(xsdt.integer(at: 44), "APIC")
        _ = try checked(fadt.integer(at: 140), "DSDT")
        #expect(UInt64(fadt.integer(UInt32.self, at: 40)) == fadt.integer(UInt64.self, at: 140))
    }

    @Test func `the same description gives the same bytes`() throws {
        #expect(try ACPITables(.example(cpus: 4)) == ACPITables(.example(cpus: 4)))
    }

    @Test func `tables that outgrow their area throw`() throws {
        let byteCount = UInt64(try ACPITables(.example()).bytes.count)
        #expect(try ACPITables(.example(), capacity: byteCount).bytes.count == Int(byteCount))
        #expect(
            throws: FirmwareError.tooLarge(
                table: "set of ACPI tables",
                byteCount: byteCount,
                capacity: byteCount - 1
            )
        ) { try ACPITables(.example(), capacity: byteCount - 1) }
    }

    @Test func `more processors than names throw`() {
        #expect(throws: FirmwareError.definitionBlock(.invalidName("C1000"))) {
            try ACPITables(.example(cpus: 4097))
        }
    }

    @Test func `installing outside guest memory throws and names the area`() throws {
        let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 0xa_0000)])
        let tables = try ACPITables(.example())
        #expect(
            throws: FirmwareError.memory(
                .outOfRange(X86Layout.acpiTables, byteCount: UInt64(tables.bytes.count))
            )
        ) { try tables.install(in: memory) }
    }

    @Test(
        arguments: [
            (FirmwareDescription(apicIDs: []), .noProcessors),
            (FirmwareDescription(apicIDs: [0, 2, 2]), .unorderedAPICIDs(2, 2)),
            (FirmwareDescription(apicIDs: [1, 0]), .unorderedAPICIDs(1, 0)),
            (FirmwareDescription(apicIDs: [0, .max]), .unorderedAPICIDs(.max, .max)),
            (FirmwareDescription(apicIDs: [0], timerGSI: 1), .badTimerLine(1)),
            (
                FirmwareDescription(apicIDs: [0], virtioDevices: [.init(base: 0xd000_0000, gsi: 24)]),
                .badInterruptLine(24)
            ),
            (
                FirmwareDescription(apicIDs: [0], virtioDevices: [.init(base: 0x1000, gsi: 5)]),
                .badVirtioWindow(0x1000, byteCount: 0x1000)
            ),
            (
                FirmwareDescription(apicIDs: [0], virtioDevices: [.init(base: 0xffff_f000, byteCount: 0x1001, gsi: 5)]),
                .badVirtioWindow(0xffff_f000, byteCount: 0x1001)
            ),
            (
                FirmwareDescription(apicIDs: [0], virtioDevices: [.init(base: 0xd000_0000, byteCount: 0, gsi: 5)]),
                .badVirtioWindow(0xd000_0000, byteCount: 0)
            ),
        ] as [(FirmwareDescription, FirmwareError)]
    )
    func `an impossible machine throws`(description: FirmwareDescription, error: FirmwareError) {
        #expect(throws: error) { try ACPITables(description) }
        #expect(throws: error) { try MPTable(description) }
        #expect(!"\(error)".isEmpty)
    }

    // MARK: - FADT

    @Test func `the FADT has each field at its offset`() throws {
        let fadt = try table("FACP", of: .example())
        #expect(fadt.count == 276)
        #expect(fadt[8] == 6)
        #expect(fadt[131] == 5)
        #expect(fadt.integer(UInt16.self, at: 46) == 9)
        #expect(fadt[48..<109].allSatisfy { $0 == 0 })
        #expect(fadt[109..<111].elementsEqual(bytes("06 00")))
        #expect(fadt.integer(UInt32.self, at: 112) == 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 20)
        #expect(fadt[116..<129].elementsEqual(bytes("01 08 00 01 02 06 00 00 00 00 00 00  01")))
        #expect(fadt[132..<140].allSatisfy { $0 == 0 })
        #expect(fadt[148..<244].allSatisfy { $0 == 0 })
        #expect(fadt[244..<256].elementsEqual(bytes("01 08 00 01 00 06 00 00 00 00 00 00")))
        #expect(fadt[256..<268].elementsEqual(bytes("01 08 00 01 01 06 00 00 00 00 00 00")))
        #expect(fadt[268...].elementsEqual("MARTLET ".utf8))
    }

    @Test(
        arguments: [(.all, 0x06), ([], 0x24), ([.keyboard], 0x26), ([.realTimeClock], 0x04)]
            as [(FirmwareDescription.Devices, UInt16)]
    )
    func `the boot flags say which legacy devices there are`(
        devices: FirmwareDescription.Devices,
        flags: UInt16
    ) throws {
        #expect(try table("FACP", of: .example(devices: devices)).integer(UInt16.self, at: 109) == flags)
    }

    // MARK: - MADT

    @Test func `the MADT lists processors, the IOAPIC and the NMI`() throws {
        let madt = try table("APIC", of: FirmwareDescription(apicIDs: [0, 4]))
        #expect(
            madt[36...].elementsEqual(
                bytes(
                    """
                    00 00 e0 fe  00 00 00 00
                    00 08 00 00 01 00 00 00  00 08 01 04 01 00 00 00
                    01 0c 00 00 00 00 c0 fe  00 00 00 00
                    04 06 ff 00 00 01
                    """
                )
            )
        )
    }

    @Test func `ids from 255 on are x2APIC entries, with an NMI of their own`() throws {
        let madt = try table("APIC", of: FirmwareDescription(apicIDs: [254, 255, 1000]))
        #expect(
            madt[44...].elementsEqual(
                bytes(
                    """
                    00 08 00 fe 01 00 00 00
                    09 10 00 00 ff 00 00 00 01 00 00 00 01 00 00 00
                    09 10 00 00 e8 03 00 00 01 00 00 00 02 00 00 00
                    01 0c 00 00 00 00 c0 fe  00 00 00 00
                    04 06 ff 00 00 01
                    0a 0c 00 00 ff ff ff ff 01 00 00 00
                    """
                )
            )
        )
    }

    @Test func `a timer on pin 2 is an override`() throws {
        let madt = try table("APIC", of: .example(timerGSI: 2))
        #expect(madt[64..<74].elementsEqual(bytes("02 0a 00 00 02 00 00 00 00 00")))
    }

    // MARK: - DSDT

    @Test func `a machine without devices has a small DSDT`() throws {
        let dsdt = try table("DSDT", of: .example(devices: []))
        #expect(dsdt[8] == 2)
        #expect(
            dsdt[36...].elementsEqual(
                bytes(
                    """
                    08 5f 53 35 5f 12 07 04 0a 05 00 00 00
                    10 21 5f 53 42 5f
                    5b 82 1a 43 30 30 30
                    08 5f 48 49 44 0d 41 43 50 49 30 30 30 37 00
                    08 5f 55 49 44 00
                    """
                )
            )
        )
    }
}
