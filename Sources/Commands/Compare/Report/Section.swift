// SPDX-License-Identifier: Apache-2.0

/// All that was found out about one topic.
struct Section: Sendable {
    /// One step on the way of a machine from its start to its end.
    struct Step: Sendable {
        let name: String
        let seconds: Samples
        /// The events in it, and the source of its limits.
        let explanation: String
        let isDistorted: Bool
    }

    /// The memory of so many instances, in all.
    struct Load: Hashable, Sendable {
        let instances: Int
        let byteCount: Double
    }

    /// The growth of an environment's memory with its instances.
    struct Growth: Sendable {
        var kind: EnvironmentKind
        var loads: [Load]
        /// The memory that one more instance takes, and the number that would fit: calculated from the loads.
        var byteCountPerInstance: Double
        var limit: Double
    }

    let topic: Topic
    /// The measurement and its method, in a sentence or two.
    let explanation: String
    var rows: [Row] = []
    /// The machine's start in parts.
    var timeline: [Step] = []
    var growth: [Growth] = []
}
