// SPDX-License-Identifier: Apache-2.0

import Console
import Devices
package import SystemPackage
package import Virtio

/// The statistics of the machine's devices, and their changes by the user.
extension VirtualMachine {
    // MARK: - Statistics

    /// The counters of vCPUs and devices so far; takes some milliseconds, to read the process's mappings.
    package var statistics: MachineStatistics {
        let resident = ResidentMemory(guestRanges: parts.guestMemoryRanges)
        return MachineStatistics(
            vcpus: parts.runners.map { $0.exits.statistics },
            disks: disks.map { .init(path: $0.path, requests: $0.statistics) },
            interfaces: interfaces.map(\.statistics),
            vsock: vsock?.statistics,
            console: .init(
                byteCount: parts.console.byteCount,
                droppedByteCount: parts.console.droppedByteCount,
                limitedByteCount: parts.console.limitedByteCount
            ),
            overheadByteCount: resident?.overheadByteCount,
            guestByteCount: resident?.guestByteCount
        )
    }

    // MARK: - Disks

    /// The disks of the configuration, in its order.
    package var disks: [Disk] { parts.devices.disks }

    /// The network interfaces of the configuration, in its order.
    package var interfaces: [Interface] { parts.devices.interfaces }

    /// Checks whether the guest has found a device and has a driver for it.
    package func isUsed(_ id: DeviceID) -> Bool {
        parts.devices.attached(id)?.transport.wasActivated ?? false
    }

    /// Checks the disks for new sizes, and notifies the guest.
    @discardableResult
    package func rescanDisks() -> [FilePath] {
        disks.filter { $0.rescan() }.map(\.path)
    }

    /// The disks that the guest has not found, or has no driver for.
    package var unusedDisks: [FilePath] {
        disks.filter { !isUsed($0.id) }.map(\.path)
    }

    // MARK: - Vsock

    /// The machine's vsock device, if it has one.
    package var vsock: VsockDevice? { parts.devices.vsock }

    // MARK: - Keys and buttons

    /// Presses Ctrl-Alt-Del on the guest's keyboard.
    package func pressControlAltDelete() {
        _ = parts.devices.legacy.keyboardController.pressCtrlAltDelete()
    }

    package func pressPowerButton() {
        parts.devices.legacy.power.pressPowerButton()
    }

    /// The way in which a guest is asked to end.
    package enum ShutdownRequest: String, Hashable, Sendable {
        case powerButton = "power-button"
        case controlAltDelete = "ctrl-alt-del"
    }

    /// Asks the guest to shut down, in the way that its kernel can hear: whether it does is the guest's.
    @discardableResult
    package func requestShutdown() -> ShutdownRequest {
        if parts.guestUsesACPI {
            pressPowerButton()
            return .powerButton
        }
        pressControlAltDelete()
        return .controlAltDelete
    }

    /// Sends a break on the serial line to the guest: Magic SysRq on a Linux console.
    package func sendSerialBreak() {
        parts.console.sendBreak()
    }
}
