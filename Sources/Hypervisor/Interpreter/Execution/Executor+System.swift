// SPDX-License-Identifier: Apache-2.0

extension Executor {
    /// A flush has no effect that a guest could see, but it faults like a read of one byte.
    func flushCacheLine(on context: inout some CPUContext) throws(ExecutionFailure) {
        let address = try linearAddress(byteCount: 1, on: context)
        do throws(ExecutionFailure) {
            _ = try load(UInt8.self, at: address, from: &context)
        } catch .unsupported {
            // Not RAM: there is no cache line to flush, and nothing to complain of.
        }
    }

    /// `clac` and `stac` (Intel SDM volume 2, "CLAC", "STAC").
    mutating func setAlignmentCheck(to isSet: Bool, on context: some CPUContext) throws(ExecutionFailure) {
        guard context.currentPrivilegeLevel == 0 else { throw .invalidOpcode }
        registers.rflags.set(.alignmentCheck, to: isSet)
    }

    private func requireBaseInstructions(on context: some CPUContext) throws(ExecutionFailure) {
        guard instruction.codeSize == .bits64, context.cr4.contains(.fsgsBase) else { throw .invalidOpcode }
    }

    mutating func readBase(of segment: SegmentRegister, on context: some CPUContext) throws(ExecutionFailure) {
        try requireBaseInstructions(on: context)
        registers.write(context.base(of: segment), to: modRM.rmRegister, width: doublewordOrQuadword)
    }

    mutating func writeBase(
        of segment: SegmentRegister,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        try requireBaseInstructions(on: context)
        let base = registers.read(modRM.rmRegister, width: doublewordOrQuadword)
        guard isCanonical(base, on: context) else { throw .generalProtection }
        context.setBase(of: segment, to: base)
    }

    mutating func readProcessorID(on context: inout some CPUContext) {
        let width: OperandWidth = instruction.codeSize == .bits64 ? .quadword : .doubleword
        registers.write(UInt64(context.timeStampCounterAuxiliary()), to: modRM.rmRegister, width: width)
    }

    mutating func readTimeStampCounter(
        withAuxiliary: Bool,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        let isForbidden = context.cr4.contains(.timeStampDisable) && context.currentPrivilegeLevel != 0
        guard !isForbidden else { throw .generalProtection }
        let count = context.timeStampCounter()
        registers.write(count, to: .rax, width: .doubleword)
        registers.write(count >> 32, to: .rdx, width: .doubleword)
        guard withAuxiliary else { return }
        registers.write(UInt64(context.timeStampCounterAuxiliary()), to: .rcx, width: .doubleword)
    }

    /// `xgetbv` (Intel SDM volume 2, "XGETBV").
    mutating func readExtendedControl(on context: inout some CPUContext) throws(ExecutionFailure) {
        guard context.cr4.contains(.osXSAVE) else { throw .invalidOpcode }
        guard let state = context.extendedState() else { throw .unsupported(.noExtendedState) }
        let value =
            switch registers.read(.rcx, width: .doubleword) {
            case 0: state.xcr0
            case 1: state.xcr0 & state.inUse
            default: throw .generalProtection
            }
        registers.write(value, to: .rax, width: .doubleword)
        registers.write(value >> 32, to: .rdx, width: .doubleword)
    }
}
