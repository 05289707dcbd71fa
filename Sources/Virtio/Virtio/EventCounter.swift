// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Counts events from any thread.
final class EventCounter: Sendable {
    private let value = Atomic<UInt64>(0)

    init() {}

    func add() { value.wrappingAdd(1, ordering: .relaxed) }
    var count: UInt64 { value.load(ordering: .relaxed) }
}
