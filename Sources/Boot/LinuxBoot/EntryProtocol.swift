// SPDX-License-Identifier: Apache-2.0

/// The registers and memory that a kernel finds when it is entered.
package enum EntryProtocol: String, Hashable, Sendable, CustomStringConvertible {
    /// Linux's 64-bit boot protocol: long mode, `boot_params` in RSI.
    case linux64
    /// Xen's PVH: 32-bit protected mode without paging, `hvm_start_info` in EBX.
    case pvh

    package var description: String { rawValue }
}
