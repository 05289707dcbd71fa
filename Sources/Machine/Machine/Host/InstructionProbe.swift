// SPDX-License-Identifier: Apache-2.0

import CKVM
import GuestMemory
import KVM
import SystemPackage

/// Runs single instructions as guest kernel code, to see which of them this host's KVM executes.
struct InstructionProbe {
    /// The result of an instruction.
    enum Result: Hashable, Sendable {
        case executed
        /// KVM's emulator lacks it.
        case notEmulated
        /// The processor that the guest sees has none.
        case faulted
    }

    /// An instruction that Linux uses in its kernel.
    struct Instruction: Hashable, Sendable {
        let name: String
        let bytes: [UInt8]
    }

    /// In 64-bit code, with RDI pointing to 4 KiB of zeros.
    static let instructions = [
        Instruction(name: "clac", bytes: [0x0f, 0x01, 0xca]),
        Instruction(name: "popcnt", bytes: [0xf3, 0x48, 0x0f, 0xb8, 0xc0]),
        Instruction(name: "fwait", bytes: [0x9b]),
        Instruction(name: "cmpxchg16b", bytes: [0x48, 0x0f, 0xc7, 0x0f]),
        Instruction(name: "ldmxcsr", bytes: [0x0f, 0xae, 0x17]),
        Instruction(name: "movups", bytes: [0x0f, 0x10, 0x07]),
        Instruction(name: "pxor", bytes: [0x66, 0x0f, 0xef, 0xc0]),
        Instruction(name: "rdrand", bytes: [0x48, 0x0f, 0xc7, 0xf0]),
        Instruction(name: "rdgsbase", bytes: [0xf3, 0x48, 0x0f, 0xae, 0xc8]),
        Instruction(name: "fxsave", bytes: [0x48, 0x0f, 0xae, 0x07]),
        Instruction(name: "xsave", bytes: [0x48, 0x0f, 0xae, 0x27]),
    ]

    private enum Layout {
        static let code: GuestAddress = 0x1000
        static let scratch: GuestAddress = 0x2000
        static let pml4: GuestAddress = 0x3000
        static let pdpt: GuestAddress = 0x4000
        static let pageDirectory: GuestAddress = 0x5000
        static let byteCount: UInt64 = 0x1_0000
    }

    private let system: KVMSystem

    init(system: KVMSystem) {
        self.system = system
    }

    /// Executes `instruction` in a machine of its own, in 64-bit mode at CPL 0.
    func probe(_ instruction: Instruction) throws(MachineError) -> Result {
        let memory: GuestMemory
        do throws(GuestMemoryError) {
            memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: Layout.byteCount)])
            // Behind it: out 0x80, al.
            try memory.write(instruction.bytes + [0xe6, 0x80], at: Layout.code)
            try memory.store(Layout.pdpt.rawValue | 3, at: Layout.pml4)
            try memory.store(Layout.pageDirectory.rawValue | 3, at: Layout.pdpt)
            try memory.store(0x83 as UInt64, at: Layout.pageDirectory)
        } catch {
            throw .memory(error)
        }
        do throws(KVMError) {
            let vm = try system.makeVirtualMachine()
            for region in memory.regions {
                try vm.setMemory(
                    slot: 0,
                    guestAddress: region.start.rawValue,
                    byteCount: region.byteCount,
                    hostAddress: region.hostAddress
                )
            }
            return try run(try vm.makeVCPU(index: 0))
        } catch {
            throw .kvm(error)
        }
    }

    private func run(_ vcpu: KVMVCPU) throws(KVMError) -> Result {
        try vcpu.setCPUID(try system.supportedCPUID())
        var special = try vcpu.specialRegisters()
        special.cr0 = 1 << 31 | 1 << 5 | 1 << 1 | 1 << 0  // PG, NE, MP, PE
        special.cr3 = Layout.pml4.rawValue
        special.cr4 = 1 << 5 | 1 << 9 | 1 << 10 | 1 << 16 | 1 << 18 | 1 << 21  // PAE, SSE, FSGSBASE, OSXSAVE, SMAP
        special.efer = 1 << 10 | 1 << 8
        (special.cs.base, special.cs.selector, special.cs.type, special.cs.l) = (0, 8, 11, 1)
        (special.cs.g, special.cs.limit) = (1, .max)
        (special.idt.base, special.idt.limit) = (0, 0)
        do {
            try vcpu.setSpecialRegisters(special)
        } catch .call(_, .invalidArgument) {
            // A processor without FSGSBASE, XSAVE or SMAP.
            special.cr4 = 1 << 5 | 1 << 9 | 1 << 10
            try vcpu.setSpecialRegisters(special)
        }
        var general = kvm_regs()
        (general.rip, general.rdi, general.rflags) = (Layout.code.rawValue, Layout.scratch.rawValue, 2)
        try vcpu.setGeneralRegisters(general)
        while true {
            switch try vcpu.run() {
            case .interrupted, .again: continue
            case .portWrite: return .executed
            case .emulationFailure: return .notEmulated
            default: return .faulted
            }
        }
    }
}
