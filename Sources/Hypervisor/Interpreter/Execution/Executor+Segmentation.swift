// SPDX-License-Identifier: Apache-2.0

extension Executor {
    /// `lar`, `lsl`, `verr`, `verw`: ZF tells whether the selector passes the test.
    mutating func testSelector(
        _ test: SegmentDescriptor.Test,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) {
        guard context.cr0.contains(.protectionEnable) else { throw .invalidOpcode }
        let selector = UInt16(truncatingIfNeeded: try readOperand(.word, from: &context))
        let privilegeLevel = max(context.currentPrivilegeLevel, UInt8(selector & 3))
        let isLongMode = instruction.codeSize == .bits64
        registers.rflags.subtract(.zero)
        guard
            let descriptor = try descriptor(for: selector, on: &context),
            descriptor.passes(test, privilegeLevel: privilegeLevel, isLongMode: isLongMode)
        else { return }
        registers.rflags.insert(.zero)
        switch test {
        case .accessRights:
            registers.write(descriptor.accessRights, to: modRM.register, width: instruction.operandWidth)
        case .limit: registers.write(descriptor.limit, to: modRM.register, width: instruction.operandWidth)
        case .read, .write: break
        }
    }

    /// The descriptor that a selector names, if it is inside its table.
    func descriptor(
        for selector: UInt16,
        on context: inout some CPUContext
    ) throws(ExecutionFailure) -> SegmentDescriptor? {
        guard selector & ~3 != 0 else { return nil }
        let table = context.descriptorTable(isLocal: selector & 4 != 0)
        let offset = UInt32(selector & ~7)
        guard offset + 7 <= table.limit else { return nil }
        return SegmentDescriptor(rawValue: try load(at: table.base &+ UInt64(offset), from: &context))
    }
}
