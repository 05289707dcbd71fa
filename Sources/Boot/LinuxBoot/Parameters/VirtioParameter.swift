// SPDX-License-Identifier: Apache-2.0

import Firmware
import GuestMemory

extension FirmwareDescription.VirtioDevice {
    /// The kernel parameter that announces the device to a Linux without ACPI, `virtio_mmio.device=4K@0xd0000000:5`.
    ///
    /// drivers/virtio/virtio_mmio.c has the syntax; needs `CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES`. Without an id Linux
    /// numbers the devices in their order.
    package var kernelParameter: String {
        let isKibibytes = byteCount > 0 && byteCount % 1024 == 0
        let size = isKibibytes ? "\(byteCount / 1024)K" : "\(byteCount)"
        return "virtio_mmio.device=\(size)@\(base):\(gsi)"
    }
}
