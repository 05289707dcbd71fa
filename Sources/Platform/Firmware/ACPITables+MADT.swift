// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory

extension ACPITables {
    /// The Multiple APIC Description Table (ACPI 6.5, 5.2.12).
    ///
    /// `PCAT_COMPAT` is clear: KVM has an 8259 pair, but hardware-reduced ACPI (4.1) knows none, and Linux does not
    /// program it in this mode.
    static func madt(_ description: FirmwareDescription) -> ACPITable {
        var body: [UInt8] = []
        body.appendLittleEndian(UInt32(X86Layout.localAPIC.rawValue))
        body.appendLittleEndian(UInt32(0))
        for (uid, id) in description.apicIDs.enumerated() {
            // Ids ascend, so an id below 255 has a UID below 255 too.
            if id < 255 {
                // Processor Local APIC (5.2.12.2), enabled.
                body += [0, 8, UInt8(uid), UInt8(id)]
                body.appendLittleEndian(UInt32(1))
            } else {
                // Processor Local x2APIC (5.2.12.12), enabled.
                body += [9, 16, 0, 0]
                body.appendLittleEndian(id)
                body.appendLittleEndian(UInt32(1))
                body.appendLittleEndian(UInt32(uid))
            }
        }
        // I/O APIC (5.2.12.3), id 0 as KVM's ID register has it after reset, global system interrupts from 0.
        body += [1, 12, 0, 0]
        body.appendLittleEndian(UInt32(X86Layout.ioapic.rawValue))
        body.appendLittleEndian(UInt32(0))
        if description.timerGSI != 0 {
            // Interrupt Source Override (5.2.12.5): ISA IRQ 0, triggered as ISA is.
            body += [2, 10, 0, 0]
            body.appendLittleEndian(description.timerGSI)
            body.appendLittleEndian(UInt16(0))
        }
        // Local APIC NMI (5.2.12.7): LINT1 of all processors; and the same for x2APICs (5.2.12.13).
        body += [4, 6, 0xff, 0, 0, 1]
        if description.apicIDs.contains(where: { $0 >= 255 }) {
            body += [10, 12, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0]
        }
        return ACPITable(signature: "APIC", revision: 6, body: body)
    }
}
