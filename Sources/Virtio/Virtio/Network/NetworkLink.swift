// SPDX-License-Identifier: Apache-2.0

import Network
import Synchronization

/// The driver's view of its link, `struct virtio_net_config` (virtio 1.2, 5.1.4).
final class NetworkLink: Sendable {
    private struct State {
        var space: ConfigurationSpace
        var isUp = true
        /// The host's side is gone for good.
        var isFinal = false
    }

    private let state: Mutex<State>

    init(address: MACAddress, mtu: UInt16?, pairCount: Int) {
        var space = ConfigurationSpace(byteCount: 12)
        for (index, byte) in address.bytes.enumerated() { space.put(byte, at: index) }
        space.put(UInt16(1), at: 6)
        space.put(UInt16(pairCount), at: 8)
        space.put(mtu ?? 0, at: 10)
        state = Mutex(State(space: space))
    }

    func read(at offset: UInt64, into data: inout MutableRawSpan) {
        state.withLock { $0.space }.read(at: offset, into: &data)
    }

    /// Sets the state of the link, and notifies the driver of a change.
    ///
    /// - Returns: Whether it is.
    @discardableResult
    func set(isUp: Bool, isFinal: Bool = false, _ interrupt: (any VirtioInterrupt)?) -> Bool {
        let isNews = state.withLock { state in
            guard !state.isFinal else { return false }
            state.isFinal = isFinal
            guard state.isUp != isUp else { return false }
            state.isUp = isUp
            state.space.put(UInt16(isUp ? 1 : 0), at: 6)
            return true
        }
        if isNews { interrupt?.notifyConfigurationChange() }
        return isNews
    }
}
