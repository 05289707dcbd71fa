// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory

extension ACPITables {
    /// Fixed feature flags (ACPI 6.5, table 5.10).
    private struct FixedFlags: OptionSet {
        let rawValue: UInt32

        /// WBINVD works as it should.
        static let wbinvd = Self(rawValue: 1 << 0)
        /// No *fixed* power button: it is a device of the DSDT, or there is none.
        static let controlMethodPowerButton = Self(rawValue: 1 << 4)
        /// No *fixed* sleep button.
        static let controlMethodSleepButton = Self(rawValue: 1 << 5)
        /// RTC wake is not in fixed register space.
        static let noFixedRTCWake = Self(rawValue: 1 << 6)
        static let resetRegister = Self(rawValue: 1 << 10)
        static let hardwareReduced = Self(rawValue: 1 << 20)
    }

    /// IA-PC boot architecture flags (table 5.11).
    ///
    /// `LEGACY_DEVICES` stays clear: all devices are in the DSDT.
    private struct BootArchitecture: OptionSet {
        let rawValue: UInt16

        static let i8042 = Self(rawValue: 1 << 1)
        static let noVGA = Self(rawValue: 1 << 2)
        static let noCMOSClock = Self(rawValue: 1 << 5)
    }

    /// The Fixed ACPI Description Table, revision 6.5 (5.2.9).
    ///
    /// In hardware-reduced mode the fields at offsets 46 to 108 and 148 to 243 are ignored; all are 0 but `SCI_INT`.
    static func fadt(_ description: FirmwareDescription, dsdt: GuestAddress) -> ACPITable {
        var architecture: BootArchitecture = [.noVGA]
        if description.devices.contains(.keyboard) { architecture.insert(.i8042) }
        if !description.devices.contains(.realTimeClock) { architecture.insert(.noCMOSClock) }
        let flags: FixedFlags = [
            .wbinvd, .controlMethodPowerButton, .controlMethodSleepButton, .noFixedRTCWake, .resetRegister,
            .hardwareReduced,
        ]

        var body: [UInt8] = []
        /// Zeroes up to the table's offset `end`.
        func skip(to end: Int) {
            body += [UInt8](repeating: 0, count: end - ACPITable.headerByteCount - body.count)
        }
        skip(to: 40)
        body.appendLittleEndian(UInt32(dsdt.rawValue))
        // SCI_INT has no meaning here, but Linux takes an override of IRQ 0 for the SCI's when it reads 0.
        skip(to: 46)
        body.appendLittleEndian(UInt16(X86Layout.acpiEventGSI))
        skip(to: 109)
        body.appendLittleEndian(architecture.rawValue)
        skip(to: 112)
        body.appendLittleEndian(flags.rawValue)
        body.appendPortRegister(X86Layout.acpiPower + 2)  // RESET_REG
        body.append(1)  // RESET_VALUE
        skip(to: 131)
        body.append(5)  // the minor version
        skip(to: 140)
        body.appendLittleEndian(dsdt.rawValue)
        skip(to: 244)
        body.appendPortRegister(X86Layout.acpiPower)  // SLEEP_CONTROL_REG
        body.appendPortRegister(X86Layout.acpiPower + 1)  // SLEEP_STATUS_REG
        body.append("MARTLET", width: 8)  // the hypervisor's identity
        return ACPITable(signature: "FACP", revision: 6, body: body)
    }
}

extension [UInt8] {
    /// Appends a Generic Address Structure for a port of one byte (5.2.3.2): system I/O, 8 bits from bit 0, byte access.
    fileprivate mutating func appendPortRegister(_ port: UInt16) {
        self += [1, 8, 0, 1]
        appendLittleEndian(UInt64(port))
    }
}
