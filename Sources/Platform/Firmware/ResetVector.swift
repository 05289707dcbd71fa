// SPDX-License-Identifier: Apache-2.0

import Platform
package import GuestMemory

/// The whole of Martlet's BIOS: real-mode code at F000:FFF0 that resets the machine.
///
/// A kernel with EFI support takes hardware-reduced ACPI for a sign of EFI firmware and, unless `reboot=` says how to,
/// restarts through EFI, which does not exist here, and then by a jump to the BIOS's reset vector (`reboot_init` and
/// `native_machine_emergency_restart` of Linux). Without code there it would run into the void and never end.
package enum ResetVector {
    /// Writes 1 to the reset port, then halts for good.
    package static let code: [UInt8] = [
        0xba, UInt8((X86Layout.acpiPower + 2) & 0xff), UInt8((X86Layout.acpiPower + 2) >> 8),  // mov dx, reset port
        0xb0, 0x01,  // mov al, 1
        0xee,  // out dx, al
        0xfa,  // cli
        0xf4,  // hlt
        0xeb, 0xfd,  // jmp to the hlt
    ]

    /// Writes the code into guest memory, which E820 must reserve there.
    package static func install(in memory: GuestMemory) throws(FirmwareError) {
        do throws(GuestMemoryError) {
            try memory.write(code, at: X86Layout.resetVector)
        } catch {
            throw .memory(error)
        }
    }
}
