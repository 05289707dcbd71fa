// SPDX-License-Identifier: Apache-2.0

import CNetwork
import Host
package import SystemPackage

/// Tells whether an interface of the host is up.
///
/// A TAP gives no event when it goes down: reads find nothing and writes fail.
package final class LinkWatch: Sendable {
    package let name: String
    private let index: CInt
    private let events: OwnedDescriptor

    init(index: CInt, name: String) throws(NetworkError) {
        self.index = index
        self.name = name
        let raw = cnetwork_link_events()
        guard raw >= 0 else {
            throw .failed("network interface \(name)", operation: "socket", Errno(rawValue: -raw))
        }
        events = OwnedDescriptor(adopting: raw)
    }

    package enum State: Sendable {
        case up, down
        /// The interface is deleted.
        case gone
    }

    /// Readable when any interface has changed.
    package var descriptor: FileDescriptor { events.borrowed }

    /// Takes pending events, and checks the interface.
    package func takeState() -> State {
        cnetwork_link_events_take(events.rawValue)
        let isUp = cnetwork_interface_is_up(events.rawValue, index)
        return isUp < 0 ? .gone : isUp == 0 ? .down : .up
    }

    /// The size of the largest packet; nil where it is unknown.
    var mtu: UInt16? {
        let mtu = cnetwork_interface_mtu(events.rawValue, index)
        return mtu > 0 ? UInt16(clamping: mtu) : nil
    }
}
