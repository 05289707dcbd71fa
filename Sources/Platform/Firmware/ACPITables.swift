// SPDX-License-Identifier: Apache-2.0

import Platform
package import GuestMemory

/// The ACPI tables of a machine: RSDP, DSDT, FADT, MADT and XSDT, at their guest physical addresses.
///
/// The machine is *hardware-reduced* (ACPI 6.5, 4.1): there is no PM timer, SCI, GPE block or FACS; power-off and reset
/// are one-byte ports, events come from a Generic Event Device, and every device is found in the DSDT. The ports, from
/// `X86Layout.acpiPower` on:
///
/// - `+0` sleep control (4.8.3.7): a write of `SLP_EN | 5 << 2`, 0x34, is the power-off.
/// - `+1` sleep status: written 0x80 (`WAK_STS`) before the power-off, and reads 0.
/// - `+2` reset: a write of 1.
/// - `+3` events of the Generic Event Device: bit 0 is the power button, bit 1 another generation ID. A read returns the pending bits and clears
///   them, so the device sets a bit first and then triggers `X86Layout.acpiEventGSI`.
package struct ACPITables: Hashable, Sendable {
    /// A table and where it lies.
    package struct Placed: Hashable, Sendable {
        package let address: GuestAddress
        package let table: ACPITable
    }

    /// The RSDP's address, for `boot_params.acpi_rsdp_addr` and `hvm_start_info.rsdp_paddr`.
    package let rsdpAddress: GuestAddress
    /// The tables in ascending order of address, the RSDP not among them.
    package let tables: [Placed]
    /// All bytes from the RSDP to the end of the last table.
    package let bytes: [UInt8]

    /// Makes the tables.
    ///
    /// `address` is 16-byte aligned, because the RSDP lies there and is searched for so. Throws `tooLarge` when the tables do
    /// not fit, or an error of `FirmwareDescription`.
    package init(
        _ description: FirmwareDescription,
        at address: GuestAddress = X86Layout.acpiTables,
        capacity: UInt64 = X86Layout.acpiTablesCapacity
    ) throws(FirmwareError) {
        precondition(address.rawValue % 16 == 0, "the RSDP must lie on a 16-byte boundary")
        try description.validate()
        var bytes = [UInt8](repeating: 0, count: Self.rsdpByteCount)
        var tables: [Placed] = []
        func place(_ table: ACPITable) -> GuestAddress {
            bytes += [UInt8](repeating: 0, count: -bytes.count & 15)
            let place = GuestAddress(rawValue: address.rawValue + UInt64(bytes.count))
            tables.append(Placed(address: place, table: table))
            bytes += table.bytes
            return place
        }
        let dsdt = place(try Self.dsdt(description))
        let fadt = place(Self.fadt(description, dsdt: dsdt))
        let madt = place(Self.madt(description))
        let xsdt = place(Self.xsdt([fadt, madt]))
        guard UInt64(bytes.count) <= capacity else {
            throw .tooLarge(table: "set of ACPI tables", byteCount: UInt64(bytes.count), capacity: capacity)
        }
        bytes.replaceSubrange(..<Self.rsdpByteCount, with: Self.rsdp(xsdt: xsdt))
        self.rsdpAddress = address
        self.tables = tables
        self.bytes = bytes
    }

    /// Writes the tables into guest memory, which E820 must reserve there.
    ///
    /// - Throws: `memory` when the area is not all guest memory; then nothing was written.
    @discardableResult
    package func install(in memory: GuestMemory) throws(FirmwareError) -> GuestAddress {
        do throws(GuestMemoryError) {
            try memory.write(bytes, at: rsdpAddress)
        } catch {
            throw .memory(error)
        }
        return rsdpAddress
    }

    // MARK: - Roots

    private static let rsdpByteCount = 36

    /// The Root System Description Pointer of ACPI 2.0 and later (5.2.5.3), without an RSDT: since ACPI 2.0 the XSDT is
    /// the one to use.
    private static func rsdp(xsdt: GuestAddress) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append("RSD PTR ", width: 8)
        bytes.append(0)
        bytes.append(ACPITable.oemID, width: 6)
        bytes.append(2)
        bytes.appendLittleEndian(UInt32(0))
        bytes.appendLittleEndian(UInt32(rsdpByteCount))
        bytes.appendLittleEndian(xsdt.rawValue)
        bytes += [0, 0, 0, 0]
        bytes.setChecksum(at: 8, over: 0..<20)
        bytes.setChecksum(at: 32)
        return bytes
    }

    /// The Extended System Description Table: the addresses of the others (5.2.8).
    private static func xsdt(_ addresses: [GuestAddress]) -> ACPITable {
        var body: [UInt8] = []
        for address in addresses { body.appendLittleEndian(address.rawValue) }
        return ACPITable(signature: "XSDT", revision: 1, body: body)
    }
}
