// SPDX-License-Identifier: Apache-2.0

extension Executor {
    /// `int` in 64-bit code of privilege level 0, to a handler of the same code segment: pushes a frame on the current
    /// stack and goes to the handler (Intel SDM volume 3A, 6.12.1 and 6.14.2).
    ///
    /// Hosts that need this emulator execute `int` of user code themselves. A handler on a stack of its own (IST) is not
    /// supported: no kernel calls one this way.
    mutating func softwareInterrupt(on context: inout some CPUContext) throws(ExecutionFailure) {
        guard instruction.codeSize == .bits64, context.currentPrivilegeLevel == 0 else {
            throw .unsupported(.interruptHandler)
        }
        let table = context.interruptTable
        let offset = UInt32(immediate) * UInt32(InterruptGate.byteCount)
        // The error code names the entry: bit 1 is for the IDT.
        let missing = CPUException(.generalProtection, errorCode: offset / 2 | 2)
        guard offset + UInt32(InterruptGate.byteCount) - 1 <= table.limit else { throw .exception(missing) }
        let words: [2 of UInt64] = [
            try load(at: table.base &+ UInt64(offset), from: &context),
            try load(at: table.base &+ UInt64(offset) &+ 8, from: &context),
        ]
        let gate = unsafe InterruptGate(words.span.bytes)  // integers of a little-endian host
        let attributes = words[0] >> 40 & 0xFF
        guard attributes & 0x1F == 0xE || attributes & 0x1F == 0xF else { throw .exception(missing) }
        guard attributes & 0x80 != 0 else {
            throw .exception(CPUException(.segmentNotPresent, errorCode: offset / 2 | 2))
        }
        if gate.selector != context.codeSelector { try checkHandler(gate.selector, on: &context) }
        guard words[0] >> 32 & 7 == 0, gate.selector == context.codeSelector, isCanonical(gate.handler, on: context)
        else {
            throw .unsupported(.interruptHandler)
        }
        let stack = registers[.rsp] & ~15
        let frame: [5 of UInt64] = [
            nextRIP, UInt64(context.codeSelector), registers.rflags.rawValue, registers[.rsp],
            UInt64(context.stackSelector),
        ]
        guard isCanonical(stack &- 40, on: context), isCanonical(stack &- 1, on: context) else {
            throw .exception(.stackFault)
        }
        try write(unsafe frame.span.bytes, at: stack &- 40, to: &context)
        registers[.rsp] = stack &- 40
        registers.rflags.subtract([.trap, .resume, .nestedTask])
        if attributes & 1 == 0 { registers.rflags.subtract(.interruptEnable) }
        nextRIP = gate.handler
    }

    /// Throws the exception of a handler whose selector names no code segment that may be entered.
    private func checkHandler(_ selector: UInt16, on context: inout some CPUContext) throws(ExecutionFailure) {
        let errorCode = UInt32(selector & ~3)
        guard
            let descriptor = try descriptor(for: selector, on: &context),
            descriptor.isCode, descriptor.privilegeLevel <= context.currentPrivilegeLevel
        else { throw .exception(CPUException(.generalProtection, errorCode: errorCode)) }
        guard descriptor.isPresent else {
            throw .exception(CPUException(.segmentNotPresent, errorCode: errorCode))
        }
    }

    /// `invpcid` (Intel SDM volume 2, "INVPCID"): forgets all translations, which is more than any of its types asks for.
    mutating func invalidateTranslations(on context: inout some CPUContext) throws(ExecutionFailure) {
        guard context.hasInvalidateProcessContext else { throw .invalidOpcode }
        guard context.currentPrivilegeLevel == 0 else { throw .generalProtection }
        let address = try linearAddress(byteCount: 16, on: context)
        let identifier: UInt64 = try load(at: address, from: &context)
        let target: UInt64 = try load(at: address &+ 8, from: &context)
        let type = registers.read(modRM.register, width: instruction.codeSize == .bits64 ? .quadword : .doubleword)
        let hasIdentifiers = context.cr4.contains(.processContextIdentifiers)
        guard type <= 3, identifier >> 12 == 0 else { throw .generalProtection }
        guard type > 1 || identifier == 0 || hasIdentifiers else { throw .generalProtection }
        guard type != 0 || isCanonical(target, on: context) else { throw .generalProtection }
        context.forgetTranslations()
    }
}
