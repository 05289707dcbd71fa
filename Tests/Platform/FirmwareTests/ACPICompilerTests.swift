// SPDX-License-Identifier: Apache-2.0

import Firmware
import Testing

/// The reference implementation's view of the tables.
///
/// Needs `iasl`, and fails without it.
@Suite struct ACPICompilerTests {
    @Test(
        arguments: [(1, 0, .all), (1, 0, []), (2, 1, .all), (32, 16, .all), (257, 17, .all)]
            as [(UInt32, Int, FirmwareDescription.Devices)]
    )
    func `iasl takes every table apart and puts it together again`(
        cpus: UInt32,
        virtioDevices: Int,
        devices: FirmwareDescription.Devices
    ) throws {
        let description = FirmwareDescription.example(
            cpus: cpus,
            virtioDevices: virtioDevices,
            devices: devices,
            timerGSI: cpus == 1 ? 0 : 2
        )
        let compiler = try IASL()
        for placed in try ACPITables(description).tables {
            let (_, bytes) = try compiler.roundTrip(placed.table)
            // The header differs: iasl enters itself as the creator, and so another checksum.
            let isSameBody = bytes.dropFirst(36) == placed.table.bytes.dropFirst(36)
            #expect(isSameBody, "\(placed.table.signature)")
            #expect(bytes.prefix(9) == placed.table.bytes.prefix(9))
        }
    }

    @Test(arguments: [(0, []), (1, ["PWRB"]), (2, ["VGEN"]), (3, ["PWRB", "VGEN"])] as [(Int, [String])])
    func `the event method notifies the power button by bit 0, and the generation ID by bit 1`(
        eventPort: Int,
        notified: [String]
    ) throws {
        let dsdt = try #require(ACPITables(.example()).tables.first).table
        let output = try IASL().execute(#"\_SB.GED._EVT 9"#, of: dsdt, portsRead: eventPort)
        #expect(output.contains(#"Evaluating \_SB.GED._EVT"#), "\(output)")
        for device in ["PWRB", "VGEN"] {
            #expect(output.contains("Notify on [\(device)]") == notified.contains(device), "\(output)")
        }
        #expect(output.contains("Value 0x80") == !notified.isEmpty, "\(output)")
        #expect(!output.contains("AE_"), "\(output)")
    }

    @Test func `iasl reads the DSDT as it is meant`() throws {
        let dsdt = try #require(ACPITables(.example(virtioDevices: 1)).tables.first).table
        let (source, _) = try IASL().roundTrip(dsdt)
        let lines = source.split(whereSeparator: \.isNewline).map { line in
            line.prefix { $0 != "/" }.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        }
        for expected in [
            #"DefinitionBlock ("", "DSDT", 2, "MARTLT", "MARTLET ", 0x00000001)"#,
            #"Name (_HID, "ACPI0007""#, #"Name (_HID, EisaId ("PNP0501")"#, #"Name (_HID, EisaId ("PNP0303")"#,
            #"Name (_HID, EisaId ("PNP0B00")"#, #"Name (_HID, EisaId ("PNP0C0C")"#, #"Name (_HID, "QEMU0001")"#,
            #"Name (_HID, "MRTL0001")"#, "Name (_CID, Package (0x02)", #""VM_Gen_Counter","#, #""VMGENCTR""#,
            #"Name (_DDN, "VM_Gen_Counter")"#,
            "Name (ADDR, Package (0x02)", "0x000FC000,", "Notify (VGEN, 0x80)",
            #"Name (_HID, "ACPI0013""#, #"Name (_HID, "LNRO0005")"#,
            "Method (_EVT, 1, Serialized)", "Local0 = EVTS", "If (((Local0 & One) == One))", "Notify (PWRB, 0x80)",
            "OperationRegion (EREG, SystemIO, 0x0603, One)", "Field (EREG, ByteAcc, NoLock, Preserve)", "EVTS, 8",
            "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive, ,, )", "Memory32Fixed (ReadWrite,",
        ] {
            #expect(lines.contains { $0.hasPrefix(expected) }, "\(expected)")
        }
    }
}
