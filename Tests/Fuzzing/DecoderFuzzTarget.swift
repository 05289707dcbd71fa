// SPDX-License-Identifier: Apache-2.0

import InstructionEmulator

/// The input is an instruction, after a byte for the mode and the prefix of a processor's state.
enum DecoderFuzzTarget {
    static func run(_ input: inout FuzzInput) {
        let mode = input.byte()
        var cpu = FuzzCPU()
        cpu.codeSize = [.bits64, .bits32, .bits16, .bits64][Int(mode & 3)]
        if mode & 4 != 0 { cpu.cr0 = [] }
        if mode & 8 != 0 { cpu.cr4 = [] }
        if mode & 0x10 != 0 { cpu.currentPrivilegeLevel = 3 }
        if mode & 0x20 != 0 { cpu.registers.rflags.insert(.trap) }
        if mode & 0x40 != 0 {
            cpu.extended = ExtendedState(area: [UInt8](repeating: 0, count: 576), xcr0: 3, components: [])
        }
        // Some registers point to memory, and some anywhere.
        let registers = GeneralRegister.allCases
        for register in registers { cpu.registers[register] = FuzzCPU.memoryStart + 64 }
        if mode & 0x80 != 0 {
            for register in registers.prefix(8) { cpu.registers[register] = input.integer(UInt64.self) }
        }
        let code = input.rest
        let before = cpu
        let outcome = InstructionEmulator.complete(code.span, on: &cpu)
        if case .unsupported = outcome { precondition(cpu == before, "what is not completed changes nothing") }
        guard let instruction = try? InstructionDecoder.decode(code.span, codeSize: cpu.codeSize) else { return }
        precondition((1...15).contains(instruction.length) && instruction.length <= code.count)
    }
}

/// A processor of plain values with a page of memory.
private struct FuzzCPU: CPUContext, Equatable {
    static let memoryStart: UInt64 = 0x10_0000

    var registers = Registers(rip: 0x1000)
    var codeSize = CodeSize.bits64
    var currentPrivilegeLevel: UInt8 = 0
    var cr0: CR0 = [.protectionEnable, .monitorCoprocessor, .numericError]
    var cr4: CR4 = [.osFXSR, .fsgsBase, .osXSAVE]
    var bases: [SegmentRegister: UInt64] = [:]
    var memory = [UInt8](repeating: 0x5a, count: 4096)
    var floatingPoint = FloatingPointState()
    var extended: ExtendedState?

    func base(of segment: SegmentRegister) -> UInt64 { bases[segment] ?? 0 }
    mutating func setBase(of segment: SegmentRegister, to base: UInt64) { bases[segment] = base }
    func descriptorTable(isLocal: Bool) -> DescriptorTable {
        DescriptorTable(base: Self.memoryStart, limit: isLocal ? 0 : 0xff)
    }

    private func offset(_ address: UInt64, _ count: Int, isWrite: Bool) throws(MemoryFault) -> Int {
        let (offset, isBelow) = address.subtractingReportingOverflow(Self.memoryStart)
        guard !isBelow, offset <= UInt64(memory.count), count <= memory.count - Int(offset) else {
            throw MemoryFault(address: address, isWrite: isWrite)
        }
        return Int(offset)
    }

    mutating func read(at address: UInt64, into bytes: inout MutableRawSpan) throws(MemoryFault) {
        let start = try offset(address, bytes.byteCount, isWrite: false)
        for index in 0..<bytes.byteCount {
            bytes.storeBytes(of: memory[start + index], toByteOffset: index, as: UInt8.self)
        }
    }

    mutating func write(at address: UInt64, from bytes: RawSpan) throws(MemoryFault) {
        let start = try offset(address, bytes.byteCount, isWrite: true)
        for index in 0..<bytes.byteCount {
            memory[start + index] = unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
        }
    }

    mutating func compareExchange(
        at address: UInt64,
        byteCount: Int,
        expected: UInt128,
        desired: UInt128
    ) throws(MemoryFault) -> UInt128 {
        let start = try offset(address, byteCount, isWrite: true)
        let observed = (0..<byteCount).reduce(0 as UInt128) { $0 | UInt128(memory[start + $1]) << UInt128(8 * $1) }
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
    mutating func timeStampCounter() -> UInt64 { 1 }
    mutating func timeStampCounterAuxiliary() -> UInt32 { 2 }
    mutating func randomNumber() -> UInt64? { 3 }
}
