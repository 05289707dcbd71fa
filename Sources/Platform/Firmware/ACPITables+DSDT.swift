// SPDX-License-Identifier: Apache-2.0

import Platform
import GuestMemory

extension ACPITables {
    /// The Differentiated System Description Table: the machine's devices (ACPI 6.5, 5.2.11.1).
    ///
    /// Revision 2 makes AML's integers 64 bits wide.
    ///
    /// - Throws: `definitionBlock`, when there are more than 4096 processors or virtio devices.
    static func dsdt(_ description: FirmwareDescription) throws(FirmwareError) -> ACPITable {
        do throws(AMLError) {
            let body = try AML.encode(definitionBlock(description))
            return ACPITable(signature: "DSDT", revision: 2, body: body)
        } catch {
            throw .definitionBlock(error)
        }
    }

    private static func definitionBlock(_ description: FirmwareDescription) throws(AMLError) -> [AML] {
        var devices: [AML] = []
        for index in description.apicIDs.indices {
            devices.append(try processor(index))
        }
        if description.devices.contains(.serialPort) { devices.append(serialPort) }
        if description.devices.contains(.keyboard) { devices.append(keyboard) }
        if description.devices.contains(.realTimeClock) { devices.append(realTimeClock) }
        if description.devices.contains(.panicNotifier) { devices.append(panicNotifier) }
        let (hasButton, hasGeneration) = (
            description.devices.contains(.powerButton), description.devices.contains(.generationID)
        )
        if hasButton { devices.append(powerButton) }
        if hasGeneration { devices.append(generationID) }
        if hasButton || hasGeneration { devices.append(eventDevice(hasButton, hasGeneration)) }
        for (index, device) in description.virtioDevices.enumerated() {
            devices.append(try virtioDevice(device, index: index))
        }
        return [softOff, .scope("_SB", devices)]
    }

    /// The `SLP_TYP` of soft off (7.4.2): 5, as the sleep control port expects.
    private static let softOff = AML.name(
        "_S5",
        .package([.integer(5), .integer(0), .integer(0), .integer(0)])
    )

    /// A processor device (8.4); its `_UID` is the one in the MADT.
    private static func processor(_ index: Int) throws(AMLError) -> AML {
        .device(
            try AMLPath(numbered: index, prefix: "C"),
            [.name("_HID", .string("ACPI0007")), .name("_UID", .integer(UInt64(index)))]
        )
    }

    /// COM1, a 16550A-compatible port.
    private static let serialPort = AML.device(
        "COM1",
        [
            .name("_HID", .eisaID("PNP0501")),
            .name("_UID", .integer(1)),
            .name(
                "_CRS",
                .resourceTemplate([
                    .io(base: X86Layout.com1, byteCount: 8),
                    .irq(UInt8(X86Layout.com1GSI)),
                ])
            ),
        ]
    )

    /// The keyboard port of the i8042, which stands for the controller.
    ///
    /// Linux wants two ranges of one port each.
    private static let keyboard = AML.device(
        "KBD",
        [
            .name("_HID", .eisaID("PNP0303")),
            .name(
                "_CRS",
                .resourceTemplate([
                    .io(base: X86Layout.i8042Data, byteCount: 1),
                    .io(base: X86Layout.i8042Command, byteCount: 1),
                    .irq(UInt8(X86Layout.keyboardGSI)),
                ])
            ),
        ]
    )

    /// The CMOS clock: index and data port.
    private static let realTimeClock = AML.device(
        "RTC",
        [
            .name("_HID", .eisaID("PNP0B00")),
            .name(
                "_CRS",
                .resourceTemplate([
                    .io(base: X86Layout.rtcIndex, byteCount: 2),
                    .irq(UInt8(X86Layout.rtcGSI)),
                ])
            ),
        ]
    )

    /// The port by which a guest reports its panic; the identifier is QEMU's.
    private static let panicNotifier = AML.device(
        "PEVT",
        [
            .name("_HID", .string("QEMU0001")),
            .name("_CRS", .resourceTemplate([.io(base: X86Layout.pvpanic, byteCount: 1)])),
        ]
    )

    /// A control-method power button (4.8.2.2.1.2).
    private static let powerButton = AML.device("PWRB", [.name("_HID", .eisaID("PNP0C0C"))])

    /// The generation ID: `ADDR` has the lower and the upper half of its address.
    ///
    /// `_CID` has the specified form, and also the short form that Linux looks for, which is not a valid `_HID`.
    private static let generationID = AML.device(
        "VGEN",
        [
            .name("_HID", .string("MRTL0001")),
            .name("_CID", .package([.string("VM_Gen_Counter"), .string("VMGENCTR")])),
            .name("_DDN", .string("VM_Gen_Counter")),
            .name("ADDR", .package([.integer(X86Layout.generationID.rawValue), .integer(0)])),
        ]
    )

    /// The Generic Event Device (5.6.9): its interrupt runs `_EVT`, which reads, and thereby clears, the event port.
    private static func eventDevice(_ hasButton: Bool, _ hasGeneration: Bool) -> AML {
        func notification(_ bit: UInt64, of device: AMLPath) -> AML {
            .if(.equal(.and(.local(0), .integer(bit)), .integer(bit)), [.notify(device, .integer(0x80))])
        }
        return .device(
            "GED",
            [
                .name("_HID", .string("ACPI0013")),
                .name("_CRS", .resourceTemplate([.interrupt(X86Layout.acpiEventGSI)])),
                .portRegion("EREG", base: X86Layout.acpiPower + 3, byteCount: 1),
                .byteField(of: "EREG", [.named("EVTS", bitCount: 8)]),
                .method(
                    "_EVT",
                    argumentCount: 1,
                    isSerialized: true,
                    [
                        // One read for all bits, since it clears them.
                        .store(.reference("EVTS"), to: .local(0))
                    ] + (hasButton ? [notification(1, of: "PWRB")] : [])
                        + (hasGeneration ? [notification(2, of: "VGEN")] : [])
                ),
            ]
        )
    }

    /// A virtio-mmio transport; `LNRO0005` is the identifier that Linux and QEMU settled on.
    private static func virtioDevice(
        _ device: FirmwareDescription.VirtioDevice,
        index: Int
    ) throws(AMLError) -> AML {
        .device(
            try AMLPath(numbered: index, prefix: "V"),
            [
                .name("_HID", .string("LNRO0005")),
                .name("_UID", .integer(UInt64(index))),
                .name(
                    "_CRS",
                    .resourceTemplate([
                        .memory32Fixed(
                            base: UInt32(device.base.rawValue),
                            byteCount: UInt32(device.byteCount)
                        ),
                        .interrupt(device.gsi),
                    ])
                ),
            ]
        )
    }
}
