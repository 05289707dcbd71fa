// SPDX-License-Identifier: Apache-2.0

import Devices
import Synchronization

/// An interrupt line that leads nowhere and counts its edges.
package final class RecordingInterruptLine: InterruptLine {
    private let edges = Atomic<Int>(0)

    package init() {}

    package func trigger() { edges.wrappingAdd(1, ordering: .relaxed) }

    /// The number of edges in all.
    package var edgeCount: Int { edges.load(ordering: .relaxed) }

    /// The number of edges since the last call.
    package func takeEdges() -> Int { edges.exchange(0, ordering: .relaxed) }
}
