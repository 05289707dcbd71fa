// SPDX-License-Identifier: Apache-2.0

import KVM
import Synchronization

/// Counts the exits of one vCPU by their reason; only its thread counts, any thread reads.
struct ExitCounters: ~Copyable, Sendable {
    private let portReads = Atomic<UInt64>(0)
    private let portWrites = Atomic<UInt64>(0)
    private let mmioReads = Atomic<UInt64>(0)
    private let mmioWrites = Atomic<UInt64>(0)
    private let emulations = Atomic<UInt64>(0)
    private let kicks = Atomic<UInt64>(0)
    private let others = Atomic<UInt64>(0)

    func count(_ exit: VCPUExit) {
        switch exit {
        case .portRead: Self.increment(portReads)
        case .portWrite: Self.increment(portWrites)
        case .mmioRead: Self.increment(mmioReads)
        case .mmioWrite: Self.increment(mmioWrites)
        case .emulationFailure: Self.increment(emulations)
        case .interrupted: Self.increment(kicks)
        default: Self.increment(others)
        }
    }

    /// One writer: a plain addition is enough, and costs no bus lock.
    private static func increment(_ counter: borrowing Atomic<UInt64>) {
        counter.store(counter.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
    }

    /// The counts so far.
    var statistics: VCPUStatistics {
        var statistics = VCPUStatistics()
        statistics.portReads = portReads.load(ordering: .relaxed)
        statistics.portWrites = portWrites.load(ordering: .relaxed)
        statistics.mmioReads = mmioReads.load(ordering: .relaxed)
        statistics.mmioWrites = mmioWrites.load(ordering: .relaxed)
        statistics.emulations = emulations.load(ordering: .relaxed)
        statistics.kicks = kicks.load(ordering: .relaxed)
        statistics.others = others.load(ordering: .relaxed)
        return statistics
    }
}

/// The number of times that a vCPU left its guest, by reason.
package struct VCPUStatistics: Hashable, Sendable {
    package var portReads: UInt64 = 0
    package var portWrites: UInt64 = 0
    package var mmioReads: UInt64 = 0
    package var mmioWrites: UInt64 = 0
    /// Instructions that KVM gave up on and Martlet completed: on hosts that interpret guest code only.
    package var emulations: UInt64 = 0
    /// Exits that this process asked for, or a signal.
    package var kicks: UInt64 = 0
    package var others: UInt64 = 0

    package init() {}
}
