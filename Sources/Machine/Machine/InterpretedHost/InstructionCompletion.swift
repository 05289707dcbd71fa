// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Interpreter
import KVM

/// Executes, with the instruction emulator, what KVM's own emulator lacks, and repairs SYSCALL.
struct InstructionCompletion: GuestCodeEmulation {
    private let memory: GuestMemory

    /// - Parameter memory: The guest's RAM, where its page tables are.
    init(memory: GuestMemory) {
        self.memory = memory
    }

    func completeInstruction(on vcpu: KVMVCPU) throws(MachineError) {
        let code: [UInt8]
        let reason: String
        do throws(KVMError) {
            var context = try KVMCPUContext(vcpu: vcpu, memory: memory)
            if try repairSyscall(on: vcpu, &context) {
                try context.commit()
                return
            }
            code = instructionBytes(at: vcpu, &context)
            switch InstructionEmulator.complete(code.span, on: &context) {
            case .completed:
                try context.commit()
                return
            case .exception(let exception):
                try context.inject(exception)
                try context.commit()
                return
            case .unsupported(let unsupported):
                reason = unsupported.description
            }
        } catch {
            throw .kvm(error)
        }
        throw try vcpu.unsupportedInstruction(reason: "cannot execute an instruction: \(reason)", code: code)
    }

    /// As many of the 15 bytes from RIP on as can be read.
    private func instructionBytes(at vcpu: KVMVCPU, _ context: inout KVMCPUContext) -> [UInt8] {
        let known = vcpu.emulationFailureBytes()
        // An instruction has at most 15 bytes (Intel SDM volume 2, 2.3.11).
        guard known.count < 15 else { return known }
        var bytes = [UInt8](repeating: 0, count: 15)
        for count in stride(from: 15, to: 0, by: -1) {
            let wasRead = bytes.withMutableBytes(first: count) { span in
                do throws(MemoryFault) {
                    try context.read(at: context.instructionAddress, into: &span)
                    return true
                } catch {
                    return false
                }
            }
            if wasRead { return Array(bytes.prefix(count)) }
        }
        return known
    }

    /// Sends the vCPU to the kernel's entry point if it stands where a SYSCALL without its change of privilege ends up.
    ///
    /// - Returns: Whether that was so.
    private func repairSyscall(on vcpu: KVMVCPU, _ context: inout KVMCPUContext) throws(KVMError) -> Bool {
        guard context.codeSize == .bits64 else { return false }
        // The cheapest evidence first: the last page fault was a fetch at the very address that faulted.
        guard
            let frame = context.value(
                at: context.registers[.rsp],
                byteCount: PageFaultFrame.byteCount,
                PageFaultFrame.init
            ),
            frame.rip == context.cr2,
            let lstar = try vcpu.modelSpecificRegister(ModelSpecificRegister.lstar), lstar == context.cr2,
            let fmask = try vcpu.modelSpecificRegister(ModelSpecificRegister.fmask),
            let gate = context.value(
                at: context.interruptTable.base &+ UInt64(InterruptGate.pageFaultVector * InterruptGate.byteCount),
                byteCount: InterruptGate.byteCount,
                InterruptGate.init
            ),
            let beginsWithEndBranch = context.value(
                at: gate.handler,
                byteCount: SyscallRepair.endBranchByteCount,
                SyscallRepair.isEndBranch
            ),
            let repaired = SyscallRepair(lstar: lstar, fmask: fmask).repairedRegisters(
                context.registers,
                cs: context.codeSelector,
                cr2: context.cr2,
                gate: gate,
                hasEndBranch: beginsWithEndBranch,
                frame: frame
            )
        else { return false }
        context.registers = repaired
        return true
    }
}

/// MSRs of the SYSCALL instruction (Intel SDM volume 4).
private enum ModelSpecificRegister {
    static let lstar: UInt32 = 0xc000_0082
    static let fmask: UInt32 = 0xc000_0084
}

extension KVMCPUContext {
    /// Parses the guest's bytes at a linear address; `nil` where they cannot be read.
    fileprivate mutating func value<T>(at address: UInt64, byteCount: Int, _ parse: (RawSpan) -> T) -> T? {
        var bytes: [48 of UInt8] = [48 of UInt8](repeating: 0)
        var elements = bytes.mutableSpan
        var whole = unsafe elements.mutableBytes
        var span = whole._mutatingExtracting(first: byteCount)
        do throws(MemoryFault) {
            try read(at: address, into: &span)
        } catch {
            return nil
        }
        return parse(span.bytes)
    }
}

extension [UInt8] {
    /// Lets `body` change the first `count` bytes.
    fileprivate mutating func withMutableBytes<R>(first count: Int, _ body: (inout MutableRawSpan) -> R) -> R {
        var elements = mutableSpan
        var whole = unsafe elements.mutableBytes
        var span = whole._mutatingExtracting(first: count)
        return body(&span)
    }
}

/// Executes what KVM cannot: the one interface between the vCPU loop and the support for hosts whose KVM interprets
/// guest kernel code.
protocol GuestCodeEmulation: Sendable {
    /// Executes the instruction at which KVM gave up, so that the vCPU can continue after it.
    ///
    /// - Parameter vcpu: Out of `KVM_RUN`, on its own thread.
    /// - Throws: `instruction` where it cannot be executed here either, `kvm` where the vCPU's state cannot be read.
    func completeInstruction(on vcpu: KVMVCPU) throws(MachineError)
}
