// SPDX-License-Identifier: Apache-2.0

/// A general-purpose register, numbered as instructions encode it.
///
/// Intel SDM volume 2, 2.2.1.2 "More on REX Prefix Fields", table 3-1 for the numbers.
package enum GeneralRegister: UInt8, CaseIterable, Sendable {
    case rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi
    case r8, r9, r10, r11, r12, r13, r14, r15

    /// The register with a four-bit encoding; higher bits of `encoding` are ignored.
    init(encoding: UInt8) {
        self =
            switch encoding & 15 {
            case 0: .rax
            case 1: .rcx
            case 2: .rdx
            case 3: .rbx
            case 4: .rsp
            case 5: .rbp
            case 6: .rsi
            case 7: .rdi
            case 8: .r8
            case 9: .r9
            case 10: .r10
            case 11: .r11
            case 12: .r12
            case 13: .r13
            case 14: .r14
            default: .r15
            }
    }
}
