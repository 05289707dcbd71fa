// SPDX-License-Identifier: Apache-2.0

/// All that was found out about one topic.
struct Section: Sendable {
    /// One step on the way of a machine from its start to its end.
    struct Step: Sendable {
        let name: String
        let seconds: Samples
        /// What happens in it, and how its limits are known.
        let explanation: String
        let isDistorted: Bool
    }

    /// What so many instances took, in all.
    struct Load: Hashable, Sendable {
        let instances: Int
        let byteCount: Double
    }

    /// How an environment's memory grows with its instances.
    struct Growth: Sendable {
        var kind: EnvironmentKind
        var loads: [Load]
        /// What one more instance takes, and how many would fit: calculated from the loads.
        var byteCountPerInstance: Double
        var limit: Double
    }

    let topic: Topic
    /// What is measured, and how, in a sentence or two.
    let explanation: String
    var rows: [Row] = []
    /// The machine's start in parts.
    var timeline: [Step] = []
    var growth: [Growth] = []
}
