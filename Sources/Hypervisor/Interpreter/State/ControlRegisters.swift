// SPDX-License-Identifier: Apache-2.0

/// Control register 0, as far as it matters here.
///
/// Intel SDM volume 3A, 2.5 "Control Registers"; AMD APM volume 2, 3.1.1 "CR0 Register".
package struct CR0: OptionSet, Hashable, Sendable {
    /// The register's bits.
    package var rawValue: UInt64

    /// Makes a value from the register's bits.
    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// PE: protected mode.
    package static let protectionEnable = CR0(rawValue: 1 << 0)
    /// MP: WAIT honours TS.
    package static let monitorCoprocessor = CR0(rawValue: 1 << 1)
    /// EM: there is no x87 unit, and SSE instructions are invalid.
    package static let emulation = CR0(rawValue: 1 << 2)
    /// TS: floating-point and SSE instructions raise #NM.
    package static let taskSwitched = CR0(rawValue: 1 << 3)
    /// NE: x87 errors raise #MF.
    package static let numericError = CR0(rawValue: 1 << 5)
}

/// Control register 4, as far as it matters here.
///
/// Intel SDM volume 3A, 2.5 "Control Registers"; AMD APM volume 2, 3.1.3 "CR4 Register".
package struct CR4: OptionSet, Hashable, Sendable {
    /// The register's bits.
    package var rawValue: UInt64

    /// Makes a value from the register's bits.
    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// TSD: the time-stamp counter is for CPL 0 only.
    package static let timeStampDisable = CR4(rawValue: 1 << 2)
    /// OSFXSR: the operating system saves SSE state; without it SSE instructions are invalid.
    package static let osFXSR = CR4(rawValue: 1 << 9)
    /// LA57: linear addresses have 57 bits.
    package static let linearAddress57 = CR4(rawValue: 1 << 12)
    /// FSGSBASE: `rdfsbase` and its family are valid.
    package static let fsgsBase = CR4(rawValue: 1 << 16)
    /// PCIDE: translations belong to process contexts.
    package static let processContextIdentifiers = CR4(rawValue: 1 << 17)
    /// OSXSAVE: the XSAVE family and `xgetbv` are valid.
    package static let osXSAVE = CR4(rawValue: 1 << 18)
}
