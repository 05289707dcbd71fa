// SPDX-License-Identifier: Apache-2.0

extension Executor {
    /// The linear address of the memory operand, checked for the processor's general rules.
    ///
    /// Segment limits are not checked: KVM hosts that need this emulator are used with flat segments.
    ///
    /// - Parameters:
    ///   - byteCount: The size of the operand.
    ///   - alignment: The required alignment of the address; #GP is raised otherwise.
    ///   - context: The virtual CPU.
    /// - Returns: The address.
    /// - Throws: #GP or #SS for an address that is not canonical (Intel SDM volume 1, 3.3.7.1), #GP for one that is
    ///   not aligned, #UD without a memory operand.
    func linearAddress(
        byteCount: Int,
        alignment: UInt64 = 1,
        on context: some CPUContext
    ) throws(ExecutionFailure) -> UInt64 {
        guard let memory = instruction.memory else { throw .invalidOpcode }
        var address = memory.effectiveAddress(registers, nextRIP: nextRIP)
        if instruction.codeSize == .bits64 {
            if memory.segment == .fs || memory.segment == .gs { address &+= context.base(of: memory.segment) }
            let last = address &+ UInt64(byteCount - 1)
            guard isCanonical(address, on: context) && isCanonical(last, on: context) else {
                throw .exception(memory.segment == .ss ? .stackFault : .generalProtection)
            }
        } else {
            address = (address &+ context.base(of: memory.segment)) & 0xFFFF_FFFF
        }
        guard address.isMultiple(of: alignment) else { throw .generalProtection }
        return address
    }

    /// Returns whether the upper bits of an address are all equal to its most significant bit.
    func isCanonical(_ address: UInt64, on context: some CPUContext) -> Bool {
        let unused: Int64 = context.cr4.contains(.linearAddress57) ? 7 : 16
        return (Int64(bitPattern: address) << unused) >> unused == Int64(bitPattern: address)
    }

    /// Reads an integer from guest memory.
    func load<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type = Value.self,
        at address: UInt64,
        from context: inout some CPUContext
    ) throws(ExecutionFailure) -> Value {
        var buffer = [16 of UInt8](repeating: 0)
        var span = buffer.mutableSpan
        // SAFETY of the raw views here and below: they are of bytes and integers, for which any bits are a value.
        var bytes = unsafe span.mutableBytes
        var operand = bytes._mutatingExtracting(first: MemoryLayout<Value>.size)
        try read(into: &operand, at: address, from: &context)
        return unsafe buffer.span.bytes.integer(at: 0)
    }

    /// Writes an integer to guest memory.
    func store<Value: FixedWidthInteger & BitwiseCopyable>(
        _ value: Value,
        at address: UInt64,
        to context: inout some CPUContext
    ) throws(ExecutionFailure) {
        let value = [1 of Value](repeating: value.littleEndian)
        try write(unsafe value.span.bytes, at: address, to: &context)
    }

    /// Reads an integer of a width that is known at run time.
    func load(
        _ width: OperandWidth,
        at address: UInt64,
        from context: inout some CPUContext
    ) throws(ExecutionFailure) -> UInt64 {
        switch width {
        case .byte: UInt64(try load(UInt8.self, at: address, from: &context))
        case .word: UInt64(try load(UInt16.self, at: address, from: &context))
        case .doubleword: UInt64(try load(UInt32.self, at: address, from: &context))
        case .quadword: try load(UInt64.self, at: address, from: &context)
        }
    }

    /// Writes the low bits of `value` as an integer of a width that is known at run time.
    func store(
        _ value: UInt64,
        _ width: OperandWidth,
        at address: UInt64,
        to context: inout some CPUContext
    ) throws(ExecutionFailure) {
        switch width {
        case .byte: try store(UInt8(truncatingIfNeeded: value), at: address, to: &context)
        case .word: try store(UInt16(truncatingIfNeeded: value), at: address, to: &context)
        case .doubleword: try store(UInt32(truncatingIfNeeded: value), at: address, to: &context)
        case .quadword: try store(value, at: address, to: &context)
        }
    }

    /// Reads bytes from guest memory.
    func read(
        into bytes: inout MutableRawSpan,
        at address: UInt64,
        from context: inout some CPUContext
    ) throws(ExecutionFailure) {
        do throws(MemoryFault) {
            try context.read(at: address, into: &bytes)
        } catch {
            throw failure(for: error, on: context)
        }
    }

    /// Writes bytes to guest memory.
    func write(
        _ bytes: RawSpan,
        at address: UInt64,
        to context: inout some CPUContext
    ) throws(ExecutionFailure) {
        do throws(MemoryFault) {
            try context.write(at: address, from: bytes)
        } catch {
            throw failure(for: error, on: context)
        }
    }

    /// Translates a failed access into the instruction's failure.
    func failure(for fault: MemoryFault, on context: some CPUContext) -> ExecutionFailure {
        if fault.cause == .notMemory { return .unsupported(.operandOutsideMemory(fault.address)) }
        return .exception(.pageFault(fault, isUser: context.currentPrivilegeLevel == 3))
    }
}
