// SPDX-License-Identifier: Apache-2.0

import Devices
import Synchronization

/// An interrupt line that leads nowhere and counts its edges.
package final class RecordingInterruptLine: InterruptLine {
    private let edges = Atomic<Int>(0)

    package init() {}

    package func trigger() { edges.wrappingAdd(1, ordering: .relaxed) }

    /// How many edges there have been in all.
    package var edgeCount: Int { edges.load(ordering: .relaxed) }

    /// How many edges there have been since the last call.
    package func takeEdges() -> Int { edges.exchange(0, ordering: .relaxed) }
}
