// SPDX-License-Identifier: Apache-2.0

import Platform
package import GuestMemory

/// The description of a machine in its firmware tables: a plain value, from which the same bytes follow each time.
package struct FirmwareDescription: Hashable, Sendable {
    /// The devices that a machine may have or lack.
    package struct Devices: OptionSet, Hashable, Sendable {
        package let rawValue: UInt8

        package init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// A 16550A at `X86Layout.com1`.
        package static let serialPort = Self(rawValue: 1 << 0)
        /// The i8042 with its keyboard port.
        package static let keyboard = Self(rawValue: 1 << 1)
        /// The CMOS clock.
        package static let realTimeClock = Self(rawValue: 1 << 2)
        /// pvpanic.
        package static let panicNotifier = Self(rawValue: 1 << 3)
        /// The power button and the Generic Event Device that reports it.
        package static let powerButton = Self(rawValue: 1 << 4)

        /// The generation ID, and the Generic Event Device that announces a new one.
        package static let generationID = Self(rawValue: 1 << 5)

        package static let all: Self = [
            .serialPort, .keyboard, .realTimeClock, .panicNotifier, .powerButton, .generationID,
        ]
    }

    /// A virtio-mmio transport.
    package struct VirtioDevice: Hashable, Sendable {
        package var base: GuestAddress
        package var byteCount: UInt64
        /// The IOAPIC pin of its edge-triggered interrupt.
        package var gsi: UInt32

        package init(base: GuestAddress, byteCount: UInt64 = X86Layout.virtioMMIOWindow, gsi: UInt32) {
            self.base = base
            self.byteCount = byteCount
            self.gsi = gsi
        }
    }

    /// The processor that the MP table describes; ACPI leaves it to CPUID.
    package struct Processor: Hashable, Sendable {
        /// CPUID leaf 1, EAX: family, model and stepping.
        package var signature: UInt32
        /// CPUID leaf 1, EDX.
        package var features: UInt32

        package init(signature: UInt32, features: UInt32) {
            self.signature = signature
            self.features = features
        }

        /// A family 6 processor with an FPU and a local APIC: the facts that readers of the table use.
        package static let generic = Self(signature: 0x600, features: 0x201)
    }

    /// The APIC id of each vCPU, strictly ascending; the first is the boot processor.
    package var apicIDs: [UInt32]
    package var devices: Devices
    /// In the order of their `_UID`.
    package var virtioDevices: [VirtioDevice]
    package var processor: Processor
    /// The IOAPIC pin that the PIT's ISA IRQ 0 reaches.
    ///
    /// 0 with KVM's default routing; 2 on a PC, and where `KVM_SET_GSI_ROUTING` says so, which is announced as an
    /// override.
    package var timerGSI: UInt32

    package init(
        apicIDs: [UInt32],
        devices: Devices = .all,
        virtioDevices: [VirtioDevice] = [],
        processor: Processor = .generic,
        timerGSI: UInt32 = 0
    ) {
        self.apicIDs = apicIDs
        self.devices = devices
        self.virtioDevices = virtioDevices
        self.processor = processor
        self.timerGSI = timerGSI
    }

    /// Checks what every table relies on.
    ///
    /// - Throws: `noProcessors`, `unorderedAPICIDs`, `badTimerLine`, `badInterruptLine` or `badVirtioWindow`.
    func validate() throws(FirmwareError) {
        guard !apicIDs.isEmpty else { throw .noProcessors }
        for (lower, upper) in zip(apicIDs, apicIDs.dropFirst()) where lower >= upper {
            throw .unorderedAPICIDs(lower, upper)
        }
        // The all-ones ids address every processor at once.
        guard apicIDs.last != .max else { throw .unorderedAPICIDs(.max, .max) }
        guard timerGSI == 0 || timerGSI == 2 else { throw .badTimerLine(timerGSI) }
        for device in virtioDevices {
            guard device.gsi < X86Layout.ioapicPinCount else { throw .badInterruptLine(device.gsi) }
            guard
                device.byteCount > 0, device.base >= X86Layout.deviceHole,
                let end = device.base.advanced(by: device.byteCount), end <= X86Layout.endOfDeviceHole
            else { throw .badVirtioWindow(device.base, byteCount: device.byteCount) }
        }
    }
}
