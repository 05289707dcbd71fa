// SPDX-License-Identifier: Apache-2.0

import Platform
package import GuestMemory

/// The Intel MultiProcessor Specification's tables (version 1.4), for kernels without ACPI.
///
/// The floating pointer, followed by the configuration table, lies in the last kilobyte of base memory, where the
/// specification has systems look (chapter 4). A second floating pointer, to the same table, lies where Linux looks
/// first: its search costs two page-table updates and a TLB flush for each 16 bytes without one, and it searches
/// whether or not there is ACPI, so on a slow host the copy is worth seconds of boot time.
package struct MPTable: Hashable, Sendable {
    /// The address of the floating pointer, which the configuration table follows.
    package let address: GuestAddress
    /// The floating pointer, which holds the address of the configuration table.
    package let floatingPointer: [UInt8]
    package let configurationTable: [UInt8]

    /// Makes the tables.
    ///
    /// Processors with an APIC id of 255 or more are left out: the table's ids have eight bits, and 255 is the broadcast.
    ///
    /// `address` is that of the floating pointer, 16-byte aligned. A capacity of 1 KiB holds 38 processors beside all devices.
    package init(
        _ description: FirmwareDescription,
        at address: GuestAddress = X86Layout.mpTable,
        capacity: UInt64 = X86Layout.legacyHole.rawValue - X86Layout.mpTable.rawValue
    ) throws(FirmwareError) {
        precondition(address.rawValue % 16 == 0, "the MP floating pointer must lie on a 16-byte boundary")
        try description.validate()
        let table = Self.configurationTable(description)
        let byteCount = UInt64(Self.floatingPointerByteCount + table.count)
        guard byteCount <= capacity else {
            throw .tooLarge(table: "MP table", byteCount: byteCount, capacity: capacity)
        }
        self.address = address
        self.floatingPointer = Self.floatingPointer(
            toTableAt: UInt32(address.rawValue) + UInt32(Self.floatingPointerByteCount)
        )
        self.configurationTable = table
    }

    /// Writes the tables into guest memory, where E820 must reserve them, and the copy of the floating pointer.
    ///
    /// - Throws: `memory` when an area is not all guest memory.
    package func install(in memory: GuestMemory) throws(FirmwareError) {
        do throws(GuestMemoryError) {
            try memory.write(floatingPointer + configurationTable, at: address)
            try memory.write(floatingPointer, at: X86Layout.mpFloatingPointer)
        } catch {
            throw .memory(error)
        }
    }

    // MARK: - Bytes

    private static let floatingPointerByteCount = 16
    private static let specification: UInt8 = 4  // the 4 of 1.4

    /// The MP floating pointer structure (4.1): a table is present, and virtual wire mode, not PIC mode.
    private static func floatingPointer(toTableAt address: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append("_MP_", width: 4)
        bytes.appendLittleEndian(address)
        bytes += [1, specification, 0, 0, 0, 0, 0, 0]
        bytes.setChecksum(at: 10)
        return bytes
    }

    /// The header (4.2), followed by the entries (4.3), sorted by type as they must be.
    private static func configurationTable(_ description: FirmwareDescription) -> [UInt8] {
        // Local and I/O APIC ids share one space (3.6.6).
        let ids = description.apicIDs.filter { $0 < 255 }
        let ioapicID = UInt8(clamping: (ids.last ?? 0) + 1)
        let entries =
            processors(ids, description.processor) + [bus, ioapic(ioapicID)]
            + inputs(of: ioapicID, description)
            + localInterrupts(bootProcessor: UInt8(clamping: ids.first ?? 0))

        var bytes: [UInt8] = []
        bytes.append("PCMP", width: 4)
        bytes.appendLittleEndian(UInt16(44 + entries.reduce(0) { $0 + $1.count }))
        bytes += [specification, 0]
        bytes.append("MARTLET", width: 8)
        bytes.append("MARTLET VMM", width: 12)
        bytes.appendLittleEndian(UInt32(0))  // no OEM table
        bytes.appendLittleEndian(UInt16(0))
        bytes.appendLittleEndian(UInt16(entries.count))
        bytes.appendLittleEndian(UInt32(X86Layout.localAPIC.rawValue))
        bytes.appendLittleEndian(UInt32(0))  // no extended entries
        bytes += entries.joined()
        bytes.setChecksum(at: 7)
        return bytes
    }

    private static func processors(_ ids: [UInt32], _ processor: FirmwareDescription.Processor) -> [[UInt8]] {
        ids.enumerated().map { index, id in
            // Type 0; local APIC version 0x14, as KVM's; flags: enabled, and the boot processor.
            var entry: [UInt8] = [0, UInt8(id), 0x14, index == 0 ? 3 : 1]
            entry.appendLittleEndian(processor.signature)
            entry.appendLittleEndian(processor.features)
            return entry + [UInt8](repeating: 0, count: 8)
        }
    }

    /// Bus 0 is ISA.
    private static var bus: [UInt8] {
        var entry: [UInt8] = [1, 0]
        entry.append("ISA", width: 6)
        return entry
    }

    private static func ioapic(_ id: UInt8) -> [UInt8] {
        // Type 2; version 0x11, as KVM's; usable.
        var entry: [UInt8] = [2, id, 0x11, 1]
        entry.appendLittleEndian(UInt32(X86Layout.ioapic.rawValue))
        return entry
    }

    /// The IOAPIC's pins that a device drives (4.3.4): each carries the ISA interrupt of its number, also from 16 on,
    /// where the virtio devices of `virtio_mmio.device=` go; but IRQ 0 is where KVM routes it.
    ///
    /// Pins that nothing drives have no entry: Linux goes through all entries for each pin.
    private static func inputs(of ioapic: UInt8, _ description: FirmwareDescription) -> [[UInt8]] {
        var lines: Set<UInt32> = [0]
        if description.devices.contains(.keyboard) { lines.insert(X86Layout.keyboardGSI) }
        if description.devices.contains(.serialPort) { lines.insert(X86Layout.com1GSI) }
        if description.devices.contains(.realTimeClock) { lines.insert(X86Layout.rtcGSI) }
        lines.formUnion(description.virtioDevices.map(\.gsi))
        return lines.sorted().map { line in
            // Type 3; vectored; triggered as the bus is: edge, active high.
            [3, 0, 0, 0, 0, UInt8(line), ioapic, UInt8(line == 0 ? description.timerGSI : line)]
        }
    }

    /// The 8259s reach LINT0 of the boot processor as ExtINT, and NMIs LINT1 of all.
    private static func localInterrupts(bootProcessor: UInt8) -> [[UInt8]] {
        [[4, 3, 0, 0, 0, 0, bootProcessor, 0], [4, 1, 0, 0, 0, 0, 0xff, 1]]
    }
}
