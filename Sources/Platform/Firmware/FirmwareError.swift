// SPDX-License-Identifier: Apache-2.0

import Platform
package import GuestMemory

/// The reason why firmware tables could not be made or put into guest memory.
package enum FirmwareError: Error, Hashable, CustomStringConvertible {
    case noProcessors
    /// Two neighbouring APIC ids of which the second is not the larger, or the broadcast id.
    case unorderedAPICIDs(UInt32, UInt32)
    /// A pin for the timer interrupt that is neither 0 nor 2.
    case badTimerLine(UInt32)
    /// An interrupt line that is not a pin of the IOAPIC.
    case badInterruptLine(UInt32)
    /// A virtio-mmio window that is empty or not in the device hole.
    case badVirtioWindow(GuestAddress, byteCount: UInt64)
    /// The tables need more room than their area has.
    case tooLarge(table: String, byteCount: UInt64, capacity: UInt64)
    /// The ACPI definition block has no encoding.
    case definitionBlock(AMLError)
    /// The area of the tables is not all guest memory.
    case memory(GuestMemoryError)

    package var description: String {
        switch self {
        case .noProcessors:
            "firmware tables need at least one processor"
        case .unorderedAPICIDs(let lower, let upper):
            "APIC ids must ascend and stay below \(UInt32.max), but \(lower) is followed by \(upper)"
        case .badTimerLine(let line):
            "the timer interrupt reaches pin 0 or 2 of the IOAPIC, not \(line)"
        case .badInterruptLine(let line):
            "interrupt line \(line) is not a pin of the IOAPIC, which has \(X86Layout.ioapicPinCount)"
        case .badVirtioWindow(let base, let byteCount):
            "a virtio-mmio window of \(byteCount) bytes at \(base) is empty or not in the device hole below 4 GiB"
        case .tooLarge(let table, let byteCount, let capacity):
            "the \(table) would need \(byteCount) bytes, but its area has \(capacity): use fewer processors or devices"
        case .definitionBlock(let error):
            "the ACPI definition block cannot be encoded: \(error)"
        case .memory(let error):
            "the firmware tables do not fit into the guest's memory: \(error)"
        }
    }
}
