// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// The guest physical address space, port space and interrupt lines of a Martlet machine: every fixed number, once.
///
///     0x0000_0000  real-mode IVT, boot structures (below)      RAM
///     0x0009_fc00  MP table (an "EBDA", reserved)              RAM, reserved
///     0x000a_0000  legacy hole (reserved)                      nothing
///     0x000e_0000  ACPI tables, setup_data (reserved)          RAM, reserved
///     0x0010_0000  kernel, initrd                              RAM, to at most 3 GiB
///     0xc000_0000  device hole: virtio-mmio, IOAPIC, LAPIC     devices
///     0x1_0000_0000  the rest of RAM                           RAM
package enum X86Layout {
    // MARK: - Boot structures, in RAM that the kernel may reuse

    /// A copy of the MP floating pointer, for Linux alone.
    ///
    /// `default_find_smp_config` searches the first kilobyte before the areas of the MP Specification, with one
    /// `early_memremap` for each 16 bytes. Not at 0, which older kernels take for "not found".
    package static let mpFloatingPointer: GuestAddress = 0x10
    /// The GDT of the entry state: six slots, of which the TSS takes two.
    package static let gdt: GuestAddress = 0x500
    /// The PVH `hvm_start_info`, its module list and its memory map.
    package static let pvhStartInfo: GuestAddress = 0x6000
    /// The Linux "zero page", `struct boot_params`, 4096 bytes.
    package static let zeroPage: GuestAddress = 0x7000
    /// The top of the entry stack; it grows down towards the end of the zero page.
    package static let bootStackTop: GuestAddress = 0x8ff0
    /// PML4, PDPT, then four page directories that map 4 GiB one to one with 2 MiB pages (1 GiB pages triple-fault on
    /// hosts that interpret guest kernels).
    package static let pageTables: GuestAddress = 0x9000
    /// The kernel command line, at most `commandLineCapacity` bytes with its terminating NUL.
    package static let commandLine: GuestAddress = 0x2_0000
    package static let commandLineCapacity: UInt64 = 0x1_0000

    // MARK: - Firmware tables, in RAM that E820 reserves

    /// The end of the kernel's conventional RAM below the legacy hole, and the start of the MP table.
    ///
    /// MP Specification 1.4, section 4: the last kilobyte of base memory (or the EBDA) is searched for the floating pointer.
    package static let mpTable: GuestAddress = 0x9_fc00
    /// The end of RAM below the legacy video and ROM hole.
    package static let legacyHole: GuestAddress = 0xa_0000
    /// The RSDP, followed by the ACPI tables.
    ///
    /// ACPI 6.5, 5.2.5.1: E0000h to FFFFFh is searched for the RSDP.
    package static let acpiTables: GuestAddress = 0xe_0000
    package static let acpiTablesCapacity: UInt64 = 0x1_c000
    /// The number that distinguishes the machines of a snapshot (VMGenID), in a page of its own.
    package static let generationID: GuestAddress = 0xf_c000
    /// `setup_data` entries (the identity page and the RNG seed), two pages.
    ///
    /// Reserved memory, because Linux splits an E820 entry of RAM around them. The last page below 1 MiB is left to the
    /// reset vector, and to the ELF header that `ld -Ttext=0x100000` puts there.
    package static let setupData: GuestAddress = 0xf_d000
    /// The payload of the first entry, where that is the identity page: after a header of 16 bytes.
    package static let identityPage: GuestAddress = 0xf_d010
    /// The reset vector in real mode, F000:FFF0: a kernel may jump there to reboot.
    package static let resetVector: GuestAddress = 0xf_fff0
    /// The start of RAM for the kernel and its initrd.
    package static let highMemory: GuestAddress = 0x10_0000

    // MARK: - The hole below 4 GiB

    /// RAM ends here at the latest and continues at 4 GiB.
    package static let deviceHole: GuestAddress = 0xc000_0000
    package static let endOfDeviceHole: GuestAddress = 0x1_0000_0000
    /// virtio-mmio transports, one window each, in the order of allocation; free above: a PCI host bridge would come here.
    package static let virtioMMIO: GuestAddress = 0xd000_0000
    package static let endOfVirtioMMIO: GuestAddress = 0xe000_0000
    package static let virtioMMIOWindow: UInt64 = 0x1000
    package static let ioapic: GuestAddress = 0xfec0_0000
    package static let localAPIC: GuestAddress = 0xfee0_0000
    /// One page that Intel hosts need for real mode (`KVM_SET_IDENTITY_MAP_ADDR`); three pages follow for the TSS
    /// (`KVM_SET_TSS_ADDR`).
    package static let identityMap: GuestAddress = 0xfffb_c000
    package static let tss: GuestAddress = 0xfffb_d000

    // MARK: - Ports

    package static let i8042Data: UInt16 = 0x60
    package static let i8042Command: UInt16 = 0x64
    package static let rtcIndex: UInt16 = 0x70
    package static let com1: UInt16 = 0x3f8
    /// The exit-status port, present only when asked for.
    package static let exitStatus: UInt16 = 0x501
    /// pvpanic (QEMU's `pvpanic` ISA device).
    package static let pvpanic: UInt16 = 0x505
    /// ACPI sleep control, sleep status, reset and the event register of the Generic Event Device: four ports.
    package static let acpiPower: UInt16 = 0x600

    /// The address and data ports of PCI's configuration mechanism #1: eight ports.
    package static let pciConfiguration: UInt16 = 0xcf8

    // MARK: - Interrupt lines (GSI = IOAPIC pin)

    package static let keyboardGSI: UInt32 = 1
    package static let com1GSI: UInt32 = 4
    package static let rtcGSI: UInt32 = 8
    /// The ACPI Generic Event Device.
    package static let acpiEventGSI: UInt32 = 9
    /// Lines for devices that are attached, in the order of allocation; 0, 2 and 13 belong to the PIT, the cascade and the
    /// FPU.
    package static let deviceGSIs: [UInt32] = [5, 6, 7, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 3]
    package static let ioapicPinCount: UInt32 = 24
}
