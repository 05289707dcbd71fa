// SPDX-License-Identifier: Apache-2.0

import CNativeExecution

@testable import Interpreter
import TestSupport

/// The processor that runs the tests, as a reference for what instructions do.
enum NativeCPU {
    /// A CPUID bit that tells whether a group of instructions exists.
    enum Feature: String, CaseIterable, Sendable {
        case sse2, sse3, ssse3, sse41, sse42, pclmulqdq, aes, sha, popcnt, movbe, cmpxchg16b, bmi1, bmi2, lzcnt, adx,
            avx, avx2,
            vaes, vpclmulqdq

        private var bit: (leaf: UInt32, register: Int32, index: UInt32) {
            switch self {
            case .sse2: (1, 3, 26)
            case .sse3: (1, 2, 0)
            case .ssse3: (1, 2, 9)
            case .sse41: (1, 2, 19)
            case .sse42: (1, 2, 20)
            case .pclmulqdq: (1, 2, 1)
            case .aes: (1, 2, 25)
            case .sha: (7, 1, 29)
            case .popcnt: (1, 2, 23)
            case .movbe: (1, 2, 22)
            case .cmpxchg16b: (1, 2, 13)
            case .bmi1: (7, 1, 3)
            case .bmi2: (7, 1, 8)
            case .lzcnt: (0x8000_0001, 2, 5)
            case .adx: (7, 1, 19)
            case .avx: (1, 2, 28)
            case .avx2: (7, 1, 5)
            case .vaes: (7, 2, 9)
            case .vpclmulqdq: (7, 2, 10)
            }
        }

        /// Indicates whether the processor that runs the tests has it.
        var isAvailable: Bool {
            cnative_cpuid(bit.leaf, 0, bit.register) >> bit.index & 1 != 0
        }
    }

    /// Memory at one address that both the processor and a fake CPU use.
    @safe struct Buffer {
        let bytes: UnsafeMutableRawBufferPointer

        init?(byteCount: Int) {
            guard let start = unsafe cnative_allocate(byteCount) else { return nil }
            unsafe bytes = UnsafeMutableRawBufferPointer(start: start, count: byteCount)
        }

        func free() {
            guard let start = unsafe bytes.baseAddress else { return }
            unsafe cnative_free(start, bytes.count)
        }

        var address: UInt64 { unsafe UInt64(UInt(bitPattern: bytes.baseAddress)) }
    }

    /// Indicates whether the test process may make pages executable.
    static let canExecute: Bool = {
        var state = cnative_state()
        return unsafe [0x90].withUnsafeBufferPointer { code in
            guard let start = code.baseAddress else { return false }
            return unsafe cnative_execute(start, 1, &state, 1) == 0
        }
    }()

    /// Executes an instruction on the state of a fake CPU, whose memory is copied to `buffer` and back.
    static func execute(_ bytes: [UInt8], on cpu: inout FakeCPU, buffer: Buffer) -> Bool {
        var state = cnative_state()
        unsafe withUnsafeMutableBytes(of: &state) { raw in
            let words = unsafe raw.bindMemory(to: UInt64.self)
            for register in GeneralRegister.allCases {
                unsafe words[Int(register.rawValue)] = cpu.registers[register]
            }
            unsafe words[16] = cpu.registers.rflags.rawValue
            for index in 0..<16 {
                unsafe words[17 + 2 * index] = cpu.floatingPoint.xmm[index].low
                unsafe words[18 + 2 * index] = cpu.floatingPoint.xmm[index].high
            }
            guard let area = cpu.extended?.area else { return }
            for index in 0..<32 {
                unsafe words[17 + index] = unsafe area.span.bytes.integer(at: 160 + 8 * index)
                unsafe words[49 + index] = unsafe area.span.bytes.integer(at: FakeCPU.upperHalvesOffset + 8 * index)
            }
        }
        unsafe buffer.bytes.copyBytes(from: cpu.memory)
        let result = unsafe bytes.withUnsafeBufferPointer { code in
            guard let start = code.baseAddress else { return Int32(-1) }
            return unsafe cnative_execute(start, code.count, &state, 1)
        }
        cpu.memory = unsafe Array(buffer.bytes)
        unsafe withUnsafeBytes(of: state) { raw in
            let words = unsafe raw.bindMemory(to: UInt64.self)
            for register in GeneralRegister.allCases where register != .rsp {
                cpu.registers[register] = unsafe words[Int(register.rawValue)]
            }
            cpu.registers.rflags = RFlags(rawValue: unsafe words[16])
            for index in 0..<16 {
                cpu.floatingPoint.xmm[index] = unsafe Vector128(low: words[17 + 2 * index], high: words[18 + 2 * index])
            }
            guard cpu.extended != nil else { return }
            cpu.floatingPoint = FloatingPointState()
            for index in 0..<32 {
                cpu.extended?.area.storeInteger(unsafe words[17 + index], at: 160 + 8 * index)
                cpu.extended?.area.storeInteger(unsafe words[49 + index], at: FakeCPU.upperHalvesOffset + 8 * index)
            }
        }
        cpu.registers.rip &+= UInt64(bytes.count)
        return result == 0
    }
}

/// A generator of the same numbers in every run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// A number that is often one of those where instructions change their ways.
    mutating func interesting() -> UInt64 {
        switch next() % 8 {
        case 0: 0
        case 1: .max
        case 2: 1 << (next() % 64)
        case 3: next() & 0xFF
        case 4: next() & 0x0000_8000_FFFF_7F80
        default: next()
        }
    }
}
