// SPDX-License-Identifier: Apache-2.0

/// An edge-triggered interrupt line of a device, wherever it leads (in a machine: an irqfd).
package protocol InterruptLine: Sendable {
    /// Raises one edge. Never blocks.
    func trigger()
}
