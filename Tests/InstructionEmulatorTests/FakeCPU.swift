// SPDX-License-Identifier: Apache-2.0

@testable import InstructionEmulator

/// A virtual CPU made of plain values, with one range of memory.
struct FakeCPU: CPUContext, Equatable {
    var registers = Registers(rip: 0x1000)
    var codeSize = CodeSize.bits64
    var currentPrivilegeLevel: UInt8 = 0
    var cr0: CR0 = [.protectionEnable, .monitorCoprocessor, .numericError]
    var cr4: CR4 = [.osFXSR, .fsgsBase, .osXSAVE]
    var bases: [SegmentRegister: UInt64] = [:]

    var memoryStart: UInt64 = 0x10_0000
    var memory = [UInt8](repeating: 0, count: 0x2000)
    /// Pages, by linear address, that fault, and how.
    var faults: [UInt64: MemoryFault.Cause] = [:]
    /// Pages that only reads may touch.
    var readOnly: Set<UInt64> = []

    var floatingPoint = FloatingPointState()
    var extended: ExtendedState?
    var timeStamp: UInt64 = 0x1234_5678_9ABC_DEF0
    var auxiliary: UInt32 = 0x8000_0003
    var random: UInt64? = 0xFEDC_BA98_7654_3210

    func base(of segment: SegmentRegister) -> UInt64 { bases[segment] ?? 0 }
    mutating func setBase(of segment: SegmentRegister, to base: UInt64) { bases[segment] = base }

    var globalTable = DescriptorTable(base: 0x10_0000, limit: 0)
    var localTable = DescriptorTable(base: 0x10_0000, limit: 0)

    func descriptorTable(isLocal: Bool) -> DescriptorTable { isLocal ? localTable : globalTable }

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
        return Int(address - memoryStart)
    }

    mutating func read(at address: UInt64, into bytes: inout MutableRawSpan) throws(MemoryFault) {
        let start = try offset(address, bytes.byteCount, isWrite: false)
        for index in 0..<bytes.byteCount {
            bytes.storeBytes(of: memory[start + index], toByteOffset: index, as: UInt8.self)
        }
    }

    mutating func write(at address: UInt64, from bytes: RawSpan) throws(MemoryFault) {
        let start = try offset(address, bytes.byteCount, isWrite: true)
        for index in 0..<bytes.byteCount { memory[start + index] = bytes.integer(at: index) }
    }

    mutating func compareExchange(
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

    mutating func floatingPointState() -> FloatingPointState { floatingPoint }
    mutating func setFloatingPointState(_ state: FloatingPointState) { floatingPoint = state }
    mutating func extendedState() -> ExtendedState? { extended }
    mutating func setExtendedState(_ state: ExtendedState) { extended = state }
    mutating func timeStampCounter() -> UInt64 { timeStamp }
    mutating func timeStampCounterAuxiliary() -> UInt32 { auxiliary }
    mutating func randomNumber() -> UInt64? { random }
}

extension FakeCPU {
    /// Executes the instruction in `bytes`.
    mutating func complete(_ bytes: [UInt8]) -> Outcome {
        InstructionEmulator.complete(bytes.span, on: &self)
    }

    /// The integer in memory at a linear address.
    func integer<Value: FixedWidthInteger & BitwiseCopyable>(at address: UInt64) -> Value {
        unsafe memory.span.bytes.integer(at: Int(address - memoryStart))
    }

    /// Stores an integer in memory at a linear address.
    mutating func set<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at address: UInt64) {
        memory.storeInteger(value, at: Int(address - memoryStart))
    }
}

/// Decodes 64-bit code.
func decode(_ bytes: [UInt8], _ codeSize: CodeSize = .bits64) throws(DecodeError) -> Instruction {
    try InstructionDecoder.decode(bytes.span, codeSize: codeSize)
}
