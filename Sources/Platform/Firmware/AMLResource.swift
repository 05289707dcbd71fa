// SPDX-License-Identifier: Apache-2.0

/// A resource descriptor of a `_CRS` object (ACPI 6.5, 6.4).
///
/// All of Martlet's interrupts are edge-triggered, active high and exclusive, as an `irqfd` without a resampler is.
package enum AMLResource: Hashable, Sendable {
    /// I/O ports, decoded with 16 bits (6.4.2.5).
    case io(base: UInt16, byteCount: UInt8)
    /// An ISA interrupt line, 0 to 15 (6.4.2.1). ISA's own triggering needs no flags byte.
    case irq(UInt8)
    /// A writable range of memory (6.4.3.4).
    case memory32Fixed(base: UInt32, byteCount: UInt32)
    /// A global system interrupt that the device consumes (6.4.3.6).
    case interrupt(UInt32)

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .io(let base, let byteCount):
            bytes += [0x47, 0x01]
            bytes.appendLittleEndian(base)
            bytes.appendLittleEndian(base)
            bytes += [0x01, byteCount]
        case .irq(let line):
            precondition(line < 16, "ISA has no IRQ \(line)")
            bytes.append(0x22)
            bytes.appendLittleEndian(UInt16(1) << line)
        case .memory32Fixed(let base, let byteCount):
            bytes += [0x86, 0x09, 0x00, 0x01]
            bytes.appendLittleEndian(base)
            bytes.appendLittleEndian(byteCount)
        case .interrupt(let line):
            // Flags: consumer, edge; one interrupt.
            bytes += [0x89, 0x06, 0x00, 0x03, 0x01]
            bytes.appendLittleEndian(line)
        }
        return bytes
    }
}
