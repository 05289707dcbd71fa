// SPDX-License-Identifier: Apache-2.0

import CNetwork
import Glibc
import Host
package import SystemPackage

/// One queue of a TAP or macvtap interface: the kernel's end is an ordinary network interface of the host.
package final class TAPBackend: NetworkBackend {
    private let owned: OwnedDescriptor
    private let name: String

    package let hasOffloadHeader = true

    /// Takes over a descriptor of an interface, made ready by `NetworkInterface`.
    init(adopting descriptor: consuming OwnedDescriptor, name: String) {
        owned = descriptor
        self.name = name
    }

    package var descriptor: FileDescriptor { owned.borrowed }

    package func setOffloads(_ offloads: NetworkOffloads) throws(NetworkError) {
        let result = cnetwork_tap_set_offloads(owned.rawValue, offloads.rawValue)
        // A deleted interface refuses everything; its link is down in any case.
        guard result < 0, result != -EBADFD else { return }
        throw .failed("network interface \(name)", operation: "TUNSETOFFLOAD", Errno(rawValue: -result))
    }

    package func send(_ frame: inout FrameVectors) -> NetworkSending {
        while true {
            let count = unsafe frame.withVectors { unsafe writev(owned.rawValue, $0, CInt($1)) }
            if count >= 0 { return .sent }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .full
            case EBADFD: return .closed(.interfaceDeleted(name))
            // EIO: the interface is down; EINVAL: its header makes no sense.
            case let error: return .dropped(Errno(rawValue: error))
            }
        }
    }

    package func flush() -> NetworkSending { .sent }

    package func receive(into frame: inout FrameVectors) -> NetworkReceiving {
        while true {
            let count = unsafe frame.withVectors { unsafe readv(owned.rawValue, $0, CInt($1)) }
            if count >= NetworkFrame.headerByteCount + NetworkFrame.minimumByteCount { return .frame(byteCount: count) }
            if count >= 0 { return .dropped }
            switch errno {
            case EINTR: continue
            case EAGAIN, EIO: return .empty
            // The frame is larger than its place.
            case EFAULT: return .dropped
            case EBADFD: return .closed(.interfaceDeleted(name))
            case let error:
                return .closed(.failed("network interface \(name)", operation: "read", Errno(rawValue: error)))
            }
        }
    }
}
