// SPDX-License-Identifier: Apache-2.0

package import Host

/// The host's side of one network device, opened.
package struct NetworkConnection {
    /// One for each pair of virtqueues.
    package var backends: [any NetworkBackend]
    /// The size of the largest packet on this network; nil where nobody says.
    package let mtu: UInt16?
    /// The work that either side may leave unfinished for the other.
    package let offloads: NetworkOffloads
    /// Tells whether the host's interface is up; nil where there is none.
    package let link: LinkWatch?
    /// The program at the other end, where this process has started it: its end is the network's.
    package let process: RunningProcess?

    /// - Parameters:
    ///   - backends: At least one.
    ///   - mtu: The size of the largest packet.
    ///   - offloads: Only for back ends that have a header for them.
    ///   - link: The state of the host's interface.
    ///   - process: The program at the other end.
    package init(
        backends: [any NetworkBackend],
        mtu: UInt16? = nil,
        offloads: NetworkOffloads = [],
        link: LinkWatch? = nil,
        process: RunningProcess? = nil
    ) {
        (self.backends, self.mtu, self.offloads) = (backends, mtu, offloads)
        (self.link, self.process) = (link, process)
    }
}
