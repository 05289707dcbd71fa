// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// The state in which the first vCPU enters the kernel, in the processor's terms and without any of KVM's types.
///
/// Registers that are not named here are zero. Interrupts are off.
package struct BootState: Hashable, Sendable {
    /// The processor mode.
    package enum Mode: Hashable, Sendable {
        /// 64-bit mode; `pageTables` is the PML4, which maps the first 4 GiB one to one.
        case long64(pageTables: GuestAddress)
        /// 32-bit protected mode without paging.
        case protected32
    }

    /// A segment register as loaded, hidden part included.
    ///
    /// Intel SDM volume 3, 3.4.5 describes the fields.
    package struct Segment: Hashable, Sendable {
        package let selector: UInt16
        package let base: UInt64
        /// The highest offset in bytes; `isGranular` does not scale it.
        package let limit: UInt32
        package let type: UInt8
        /// S: a code or data segment, and not a system segment.
        package let isCodeOrData: Bool
        /// L: 64-bit code.
        package let isLong: Bool
        /// D/B: 32-bit code, stack or data.
        package let isDefault32: Bool
        /// G: the descriptor counts the limit in pages.
        package let isGranular: Bool
    }

    package let mode: Mode
    package let instructionPointer: GuestAddress
    /// RSP; 0 where the protocol leaves it to the kernel.
    package let stackPointer: UInt64
    /// `boot_params` for Linux's protocol, else 0.
    package let rsi: UInt64
    /// `hvm_start_info` for PVH, else 0.
    package let rbx: UInt64
    /// RFLAGS: only the bit that is always set.
    package let flags: UInt64 = 1 << 1
    package let gdtBase: GuestAddress
    package let gdtLimit: UInt16
    package let code: Segment
    /// DS, ES, FS, GS and SS.
    package let data: Segment
    /// TR: VT-x wants a busy TSS even of guests that never switch tasks.
    package let task: Segment

    // MARK: - Control registers

    /// CR0: PE and ET; with paging also PG.
    package var cr0: UInt64 {
        switch mode {
        case .long64: 1 << 31 | 1 << 4 | 1 << 0
        case .protected32: 1 << 4 | 1 << 0
        }
    }

    /// CR3: the PML4, or 0.
    package var cr3: UInt64 {
        switch mode {
        case .long64(let pageTables): pageTables.rawValue
        case .protected32: 0
        }
    }

    /// CR4: PAE in long mode, else 0.
    package var cr4: UInt64 {
        switch mode {
        case .long64: 1 << 5
        case .protected32: 0
        }
    }

    /// EFER: LME and LMA in long mode, else 0.
    package var efer: UInt64 {
        switch mode {
        case .long64: 1 << 10 | 1 << 8
        case .protected32: 0
        }
    }
}
