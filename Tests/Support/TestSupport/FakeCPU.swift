// SPDX-License-Identifier: Apache-2.0

import Devices
package import Interpreter

/// A virtual CPU made of plain values, with one range of memory.
package struct FakeCPU: CPUContext, Equatable {
    package var registers = Registers(rip: 0x1000)
    package var codeSize = CodeSize.bits64
    package var currentPrivilegeLevel: UInt8 = 0
    package var cr0: CR0 = [.protectionEnable, .monitorCoprocessor, .numericError]
    package var cr4: CR4 = [.osFXSR, .fsgsBase, .osXSAVE]
    /// The segments that do not begin at 0.
    package var bases: [SegmentRegister: UInt64] = [:]

    /// The linear address of the memory.
    package var memoryStart: UInt64 = 0x10_0000
    /// All the memory that there is.
    package var memory = [UInt8](repeating: 0, count: 0x2000)
    /// Pages, by linear address, that fault, and how.
    package var faults: [UInt64: MemoryFault.Cause] = [:]
    /// Pages that only reads may touch.
    package var readOnly: Set<UInt64> = []

    /// The state of x87 and SSE.
    package var floatingPoint = FloatingPointState()
    /// The state that XSAVE has; `nil` for a CPU without it.
    package var extended: ExtendedState?
    /// The value that RDTSC reads.
    package var timeStamp: UInt64 = 0x1234_5678_9ABC_DEF0
    /// The value that RDTSCP reads beside it.
    package var auxiliary: UInt32 = 0x8000_0003
    /// The value that RDRAND reads; `nil` when it fails.
    package var random: UInt64? = 0xFEDC_BA98_7654_3210

    /// The GDT.
    package var globalTable = DescriptorTable(base: 0x10_0000, limit: 0)
    /// The LDT.
    package var localTable = DescriptorTable(base: 0x10_0000, limit: 0)

    /// The IDT.
    package var interruptTable = DescriptorTable(base: 0x10_0000, limit: 0)
    /// The selector in CS.
    package var codeSelector: UInt16 = 0x10
    /// The selector in SS.
    package var stackSelector: UInt16 = 0x18
    /// Indicates whether CPUID has INVPCID.
    package var hasInvalidateProcessContext = true
    /// The number of times that all translations were forgotten.
    package var forgottenTranslationsCount = 0

    /// A CPU in 64-bit mode.
    package init() {}

    package mutating func forgetTranslations() { forgottenTranslationsCount += 1 }
    package func base(of segment: SegmentRegister) -> UInt64 { bases[segment] ?? 0 }
    package mutating func setBase(of segment: SegmentRegister, to base: UInt64) { bases[segment] = base }
    package func descriptorTable(isLocal: Bool) -> DescriptorTable { isLocal ? localTable : globalTable }

    private func offset(_ address: UInt64, _ count: Int, isWrite: Bool) throws(MemoryFault) -> Int {
        for index in 0..<UInt64(count) {
            let byte = address &+ index
            if let cause = faults[byte & ~0xFFF] {
                throw MemoryFault(address: byte, isWrite: isWrite, cause: cause)
            }
            if isWrite && readOnly.contains(byte & ~0xFFF) {
                throw MemoryFault(address: byte, isWrite: true, cause: .protection)
            }
            guard byte >= memoryStart, byte - memoryStart < UInt64(memory.count) else {
                throw MemoryFault(address: byte, isWrite: isWrite)
            }
        }
        // Of no bytes it does not matter where they are.
        return count == 0 ? 0 : Int(address - memoryStart)
    }

    package mutating func read(at address: UInt64, into bytes: inout MutableRawSpan) throws(MemoryFault) {
        let start = try offset(address, bytes.byteCount, isWrite: false)
        for index in 0..<bytes.byteCount {
            bytes.storeBytes(of: memory[start + index], toByteOffset: index, as: UInt8.self)
        }
    }

    package mutating func write(at address: UInt64, from bytes: RawSpan) throws(MemoryFault) {
        let start = try offset(address, bytes.byteCount, isWrite: true)
        for index in 0..<bytes.byteCount { memory[start + index] = bytes.byte(at: index) }
    }

    package mutating func compareExchange(
        at address: UInt64,
        byteCount: Int,
        expected: UInt128,
        desired: UInt128
    ) throws(MemoryFault) -> UInt128 {
        let start = try offset(address, byteCount, isWrite: true)
        let observed = (0..<byteCount).reduce(UInt128(0)) { $0 | UInt128(memory[start + $1]) << UInt128(8 * $1) }
        guard observed == expected else { return observed }
        for index in 0..<byteCount {
            memory[start + index] = UInt8(truncatingIfNeeded: desired >> UInt128(8 * index))
        }
        return observed
    }

    package mutating func floatingPointState() -> FloatingPointState { floatingPoint }
    package mutating func setFloatingPointState(_ state: FloatingPointState) { floatingPoint = state }
    package mutating func extendedState() -> ExtendedState? { extended }
    package mutating func setExtendedState(_ state: ExtendedState) { extended = state }
    package mutating func timeStampCounter() -> UInt64 { timeStamp }
    package mutating func timeStampCounterAuxiliary() -> UInt32 { auxiliary }
    package mutating func randomNumber() -> UInt64? { random }
}
