// SPDX-License-Identifier: Apache-2.0

import Firmware
import Platform
import GuestMemory
import LinuxBoot
import MachineModel
import Testing

/// virtio devices reach a kernel once: by ACPI where it has that, else by its command line.
@Suite struct VirtioAnnouncementTests {
    typealias Device = FirmwareDescription.VirtioDevice

    private static let device = Device(base: 0xd000_0000, gsi: 5)
    private static let parameter = "virtio_mmio.device=4K@0xd0000000:5"

    /// A kernel with `CONFIG_ACPI` or without it.
    private static func kernel(hasACPI: Bool, at position: Int = 1000) -> ELFBuilder {
        var builder = ELFBuilder.linux()
        let marker = Array("acpi_osi=".utf8) + [hasACPI ? 0 : 0x78]
        builder.segments[0].content.replaceSubrange(position..<position + marker.count, with: marker)
        return builder
    }

    /// The command line that a guest finds.
    private static func commandLine(
        _ image: [UInt8],
        _ text: String = "quiet",
        devices: [Device] = [device],
        rsdp: GuestAddress? = 0xe_0000,
        entry: EntryChoice = .automatic
    ) throws -> String {
        let guest = try Guest(image, entry: entry, commandLine: text, rsdp: rsdp, virtioDevices: devices)
        let bytes = try guest.bytes(at: 0x2_0000, count: 0x1_0000)
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    @Test(
        arguments: [
            (0xd000_0000, 4096, 5, "4K@0xd0000000:5"), (0xd000_1000, 0x200, 16, "512@0xd0001000:16"),
            (0xc000_0000, 1 << 20, 3, "1024K@0xc0000000:3"),
        ] as [(UInt64, UInt64, UInt32, String)]
    )
    func `a device is named as the kernel reads it`(base: UInt64, byteCount: UInt64, gsi: UInt32, text: String) {
        let device = Device(base: GuestAddress(rawValue: base), byteCount: byteCount, gsi: gsi)
        #expect(device.kernelParameter == "virtio_mmio.device=" + text)
    }

    @Test func `a kernel with ACPI is told nothing`() throws {
        #expect(try Self.commandLine(Self.kernel(hasACPI: true).build()) == "quiet")
    }

    @Test func `a kernel without ACPI is told before the user's words`() throws {
        let image = Self.kernel(hasACPI: false).build()
        #expect(try Self.commandLine(image) == Self.parameter + " quiet")
        #expect(try Self.commandLine(image, "-- x") == Self.parameter + " -- x")
        #expect(try Self.commandLine(image, "") == Self.parameter)
        #expect(try Self.commandLine(image, devices: []) == "quiet")
    }

    @Test func `the user's own devices stay`() throws {
        let own = "virtio_mmio.device=1K@0x1001e000:74"
        #expect(try Self.commandLine(Self.kernel(hasACPI: false).build(), own) == Self.parameter + " " + own)
    }

    @Test(arguments: [0, 65_530, 131_063, 131_064, 131_071, 131_072, 199_990])
    func `the kernel is searched to its ends`(position: Int) throws {
        #expect(try Self.commandLine(Self.kernel(hasACPI: true, at: position).build()) == "quiet")
    }

    @Test(arguments: [false, true])
    func `a kernel out of a bzImage is searched`(hasACPI: Bool) throws {
        let payload = try Compressor.payload(Self.kernel(hasACPI: hasACPI).build(), .zstd)
        let line = try Self.commandLine(BzImageBuilder(payload: payload).build())
        #expect(line == (hasACPI ? "quiet" : Self.parameter + " quiet"))
    }

    @Test func `a bzImage that unpacks itself counts as one with ACPI`() throws {
        let payload = try Compressor.payload(Self.kernel(hasACPI: false).build(), .gzip)
        let image = BzImageBuilder(payload: payload).build()
        #expect(try Self.commandLine(image, entry: .image) == "quiet")
        #expect(try Self.commandLine(image, "acpi=off", entry: .image) == Self.parameter + " acpi=off")
    }

    @Test func `without ACPI tables a kernel with ACPI is told`() throws {
        let line = try Self.commandLine(Self.kernel(hasACPI: true).build(), rsdp: nil)
        #expect(line == Self.parameter + " quiet")
    }

    @Test(
        arguments: [
            "acpi=off", "quiet acpi=off", "acpi=off\tquiet", "acpi=force acpi=off", "acpi=off -- acpi=force",
            "acpi=\"off\"", "\"acpi=off\"", "x=\"a b\" acpi=off", "acpi=noirq acpi=off",
        ]
    )
    func `a kernel whose ACPI is off is told`(text: String) throws {
        #expect(try Self.commandLine(Self.kernel(hasACPI: true).build(), text) == Self.parameter + " " + text)
    }

    @Test(
        arguments: [
            "acpi=ht", "acpi=noirq", "acpi=rsdt", "acpi=copy_dsdt", "acpi=strict", "acpi=force", "acpi=off acpi=force",
            "acpi=offline", "xacpi=off", "-- acpi=off", "x=\"a acpi=off\"", "acpi", "pci=noacpi",
        ]
    )
    func `a kernel whose ACPI is on is told nothing`(text: String) throws {
        #expect(try Self.commandLine(Self.kernel(hasACPI: true).build(), text) == text)
    }

    @Test func `every device of many is there, in order`() throws {
        let devices = (0..<17 as Range<UInt64>).map {
            Device(base: GuestAddress(rawValue: 0xd000_0000 + $0 * 0x1000), gsi: X86Layout.deviceGSIs[Int($0)])
        }
        let line = try Self.commandLine(Self.kernel(hasACPI: false).build(), devices: devices)
        #expect(line.split(separator: " ").map(String.init) == devices.map(\.kernelParameter) + ["quiet"])
    }

    @Test func `a line that becomes too long is refused only if it has to`() throws {
        let longest = String(repeating: "x", count: 2047 - Self.parameter.count - 1)
        let image = Self.kernel(hasACPI: false).build()
        #expect(try Self.commandLine(image, longest).utf8.count == 2047)
        #expect(throws: BootError.commandLineTooLong(byteCount: 2048, limit: 2047)) {
            try Self.commandLine(image, longest + "x")
        }
        #expect(try Self.commandLine(Self.kernel(hasACPI: true).build(), longest + "x") == longest + "x")
    }
}
