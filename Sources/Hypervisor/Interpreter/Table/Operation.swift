// SPDX-License-Identifier: Apache-2.0

/// The effect of an instruction.
///
/// The first cases are families: a table row gives them a pure function, and the executor moves the operands. The others
/// are one instruction each, or a few that differ in a parameter.
enum Operation: Sendable {
    // MARK: Families

    /// A general-purpose register gets a function of integer operands.
    case integer(IntegerOperation)
    /// An XMM register (`reg`) gets a function of itself and an XMM register or memory.
    case vector(VectorFunction, VectorMemory = .aligned)
    /// An XMM register (`rm`) gets a function of itself and the immediate.
    case vectorShift(VectorFunction)
    /// An XMM register or memory (`rm`) gets a function of itself and an XMM register (`reg`).
    case vectorStore(VectorFunction, VectorMemory)
    /// An XMM register (`reg`) gets a function of itself and an integer register or memory.
    case vectorInsert(VectorFunction, VectorElement)
    /// An integer register or memory (`rm`) gets a function of an XMM register (`reg`).
    case vectorExtract(VectorExtraction, VectorElement)
    /// A general-purpose register (`reg`) gets a function of an XMM register (`rm`).
    case vectorMask(VectorExtraction)
    /// ZF and CF get functions of two vectors: `ptest`.
    case vectorTest
    /// A YMM register (`reg`) gets a function of whole vectors, which may cross their halves.
    case wideVector(WideFunction, WideSource)
    /// An XMM register or memory (`rm`) gets one half of a YMM register (`reg`).
    case extractHalf
    /// `vzeroupper` and `vzeroall`.
    case zeroVectors(isUpperOnly: Bool)

    // MARK: Control

    /// `nop` and everything that is only a hint or an order among memory accesses.
    case noOperation
    /// `pause`, which shares its opcode with `xchg`.
    case pause
    /// Cache line flushes: no effect, but the address must be valid.
    case flushCacheLine
    /// `int3` and `int1`.
    case raise(CPUException.Vector)
    /// `ud0`, `ud1`, `ud2`.
    case undefined
    /// `clac` and `stac`.
    case setAlignmentCheck(Bool)
    /// `int` with a vector.
    case softwareInterrupt
    /// `invpcid`.
    case invalidateTranslations

    // MARK: Integers

    /// `cmpxchg8b` and `cmpxchg16b`.
    case compareExchangePair
    /// `movbe` to memory.
    case storeBigEndian
    /// `mulx`.
    case multiplyWithoutFlags
    /// `rdrand` and `rdseed`.
    case random

    // MARK: System state

    /// `rdfsbase` and `rdgsbase`.
    case readSegmentBase(SegmentRegister)
    /// `wrfsbase` and `wrgsbase`.
    case writeSegmentBase(SegmentRegister)
    /// `rdpid`.
    case readProcessorID
    /// `rdtsc`, and with the auxiliary value `rdtscp`.
    case readTimeStampCounter(withAuxiliary: Bool)
    /// `xgetbv`.
    case readExtendedControl

    /// `lar`, `lsl`, `verr`, `verw`.
    case testSelector(SegmentDescriptor.Test)

    // MARK: Floating-point state

    /// `fwait`.
    case wait
    /// `fnclex`.
    case clearFloatingPointExceptions
    /// `fnstsw` to AX.
    case storeStatusWord
    /// `fldcw`.
    case loadControlWord
    /// `fild` of 32 bits.
    case loadInteger
    /// `emms`.
    case emptyMMX
    /// `ldmxcsr`.
    case loadMXCSR
    /// `stmxcsr`.
    case storeMXCSR
    /// `xsave` and its variants.
    case saveExtendedState(SaveVariant)
    /// `xrstor` and `xrstors`.
    case restoreExtendedState(isSupervisor: Bool)
}

/// The variants of `xsave` (Intel SDM volume 1, 13.7 and 13.9 to 13.11).
enum SaveVariant: Sendable {
    /// `xsave`.
    case plain
    /// `xsaveopt`: components in their initial configuration are not written.
    case optimized
    /// `xsavec`: as `optimized`, in the compacted format.
    case compacted
    /// `xsaves`: as `compacted`, with supervisor components.
    case supervisor
}
