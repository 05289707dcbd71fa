// SPDX-License-Identifier: Apache-2.0

/// One term of the ACPI Machine Language, named as in ASL; a definition block is an array of them.
///
///     .device("COM1", [
///         .name("_HID", .eisaID("PNP0501")),
///         .name("_CRS", .resourceTemplate([.io(base: 0x3f8, byteCount: 8), .irq(4)])),
///     ])
///
/// Only what Martlet's tables need (ACPI 6.5, 20.2). ``encode(_:)`` turns terms into bytes and checks them.
package indirect enum AML: Hashable, Sendable {
    // MARK: - Data objects (20.2.3)

    case integer(UInt64)
    case string(String)
    /// A Plug and Play identifier such as `PNP0501`, as the 32-bit integer that stands for it (19.6.38).
    case eisaID(String)
    case buffer([UInt8])
    case package([AML])
    /// A buffer of resource descriptors and an end tag (6.4).
    case resourceTemplate([AMLResource])

    // MARK: - Named objects (20.2.5)

    case name(AMLPath, AML)
    case scope(AMLPath, [AML])
    case device(AMLPath, [AML])
    case method(AMLPath, argumentCount: Int = 0, isSerialized: Bool = false, [AML])
    /// A range of I/O ports.
    case portRegion(AMLPath, base: UInt16, byteCount: UInt8)
    /// Names for the bits of a region, which is accessed byte by byte, without a lock, preserving other bits.
    case byteField(of: AMLPath, [AMLFieldUnit])

    // MARK: - Statements and expressions (20.2.5.3, 20.2.5.4, 20.2.6)

    case reference(AMLPath)
    case local(Int)
    case argument(Int)
    case store(AML, to: AML)
    case and(AML, AML)
    case equal(AML, AML)
    case `if`(AML, [AML])
    case notify(AMLPath, AML)
    case `return`(AML)
}

/// A part of a field list (ACPI 6.5, 20.2.5.2).
package enum AMLFieldUnit: Hashable, Sendable {
    /// A name of one segment for the next `bitCount` bits.
    case named(AMLPath, bitCount: Int)
    /// Bits without a name.
    case reserved(bitCount: Int)
}
