// SPDX-License-Identifier: Apache-2.0

/// The interface of the emulator to a virtual CPU that stands before an instruction.
///
/// Getters are called only for state that the instruction uses, so an adapter may fetch each part of the state on
/// first use. No setter is called, and nothing is written, when the instruction faults.
package protocol CPUContext {
    /// The general-purpose registers, RIP and RFLAGS.
    var registers: Registers { get set }

    /// The kind of code segment.
    var codeSize: CodeSize { get }
    /// CPL: 0 to 3.
    var currentPrivilegeLevel: UInt8 { get }
    var cr0: CR0 { get }
    var cr4: CR4 { get }

    /// The base address of a segment. In 64-bit code it is asked for FS and GS only.
    func base(of segment: SegmentRegister) -> UInt64
    /// Sets the base address of FS or GS.
    mutating func setBase(of segment: SegmentRegister, to base: UInt64)

    /// The GDT, or the LDT.
    func descriptorTable(isLocal: Bool) -> DescriptorTable

    /// The IDT.
    var interruptTable: DescriptorTable { get }
    /// The selector in CS.
    var codeSelector: UInt16 { get }
    /// The selector in SS.
    var stackSelector: UInt16 { get }
    /// Indicates whether the guest's CPUID has INVPCID.
    var hasInvalidateProcessContext: Bool { get }
    /// Forgets every translation of a linear address, as INVPCID of type 2 does.
    mutating func forgetTranslations()

    /// Copies guest memory out, for any number of bytes, across pages too.
    ///
    /// - Throws: The fault, when any byte is not readable at the current privilege.
    mutating func read(at address: UInt64, into bytes: inout MutableRawSpan) throws(MemoryFault)

    /// Copies bytes into guest memory, all of them or, when it throws, none.
    ///
    /// A naturally aligned write of up to 8 bytes is seen by other CPUs as one write.
    ///
    /// - Throws: The fault, when any byte is not writable at the current privilege.
    mutating func write(at address: UInt64, from bytes: RawSpan) throws(MemoryFault)

    /// Atomically replaces a value in guest memory if it is the expected one.
    ///
    /// - Parameters:
    ///   - address: A linear address; a multiple of 16 when `byteCount` is 16.
    ///   - byteCount: 8 or 16.
    ///   - expected: The expected value.
    ///   - desired: The value to store when it is found.
    /// - Returns: The value that was there; equal to `expected` exactly when `desired` was stored.
    /// - Throws: The fault, which is a write fault whether or not the comparison would have succeeded.
    mutating func compareExchange(
        at address: UInt64,
        byteCount: Int,
        expected: UInt128,
        desired: UInt128
    ) throws(MemoryFault) -> UInt128

    /// The x87 and SSE state.
    mutating func floatingPointState() -> FloatingPointState
    /// Replaces the x87 and SSE state; both components count as in use from then on.
    mutating func setFloatingPointState(_ state: FloatingPointState)

    /// The XSAVE-managed state, or nil when the CPU has none.
    mutating func extendedState() -> ExtendedState?
    /// Replaces the XSAVE area; XCR0, IA32_XSS and the components are never changed.
    mutating func setExtendedState(_ state: ExtendedState)

    /// The guest's time-stamp counter.
    mutating func timeStampCounter() -> UInt64
    /// IA32_TSC_AUX.
    mutating func timeStampCounterAuxiliary() -> UInt32
    /// A random number for `rdrand` and `rdseed`, or nil when none is available now. By default one from the host.
    mutating func randomNumber() -> UInt64?
}

extension CPUContext {
    /// A random number from the host's own source.
    package mutating func randomNumber() -> UInt64? {
        .random(in: .min ... .max)
    }
}

/// A segment register, numbered as instructions encode it.
package enum SegmentRegister: UInt8, Sendable {
    case es, cs, ss, ds, fs, gs
}

/// The default operand and address size, from CS.L, CS.D and EFER.LMA.
///
/// Intel SDM volume 3A, 5.2.1 "Code-Segment Descriptor in 64-bit Mode".
package enum CodeSize: Sendable {
    /// Real mode, or a code segment with D = 0.
    case bits16
    /// A code segment with D = 1.
    case bits32
    /// A code segment with L = 1 in long mode.
    case bits64

    /// The bits of RIP that count.
    var instructionPointerMask: UInt64 {
        switch self {
        case .bits16: 0xFFFF
        case .bits32: 0xFFFF_FFFF
        case .bits64: .max
        }
    }
}

/// The place of a table of segment descriptors: the GDT or the LDT.
package struct DescriptorTable: Hashable, Sendable {
    /// The linear address of the first byte.
    package var base: UInt64
    /// The offset of the last byte; a missing LDT has limit 0.
    package var limit: UInt32

    /// Describes a table.
    package init(base: UInt64, limit: UInt32) {
        self.base = base
        self.limit = limit
    }
}
