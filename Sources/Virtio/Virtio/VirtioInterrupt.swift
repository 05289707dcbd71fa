// SPDX-License-Identifier: Apache-2.0

/// A device's way to its driver.
package protocol VirtioInterrupt: Sendable {
    /// Says that used buffers wait in a virtqueue (virtio 1.2, 2.3: used buffer notification).
    func notifyUsedBuffers()
    /// Says that the device-specific configuration is another one now (2.3: configuration change notification).
    func notifyConfigurationChange()
    /// Says that the device can no longer work, and why (2.1.1: `DEVICE_NEEDS_RESET`).
    func notifyNeedsReset(_ reason: VirtqueueFault)
}
