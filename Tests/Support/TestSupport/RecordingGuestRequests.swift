// SPDX-License-Identifier: Apache-2.0

package import Devices
import Synchronization

/// Keeps what a guest asked of its machine, in order.
package final class RecordingGuestRequests: Sendable {
    private let recorded = Mutex<[GuestRequest]>([])

    package init() {}

    /// The function to give a device.
    package var handler: GuestRequestHandler {
        { request in self.recorded.withLock { $0.append(request) } }
    }

    package var requests: [GuestRequest] { recorded.withLock { $0 } }
}
