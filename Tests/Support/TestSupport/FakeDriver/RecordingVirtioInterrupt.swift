// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Virtio

/// A way to a driver that counts what the device says, and lets a test wait for it.
package final class RecordingVirtioInterrupt: VirtioInterrupt {
    /// The notifications so far.
    package struct Record: Equatable, Sendable {
        package var usedBuffers = 0
        package var configurationChanges = 0
        package var needsReset: [VirtqueueFault] = []

        package init() {}
    }

    private let record: Guarded<Record>

    package init() {
        record = Guarded(Record())
    }

    package var current: Record { record.withLock { $0 } }

    package func notifyUsedBuffers() {
        record.change { $0.usedBuffers += 1 }
    }

    package func notifyConfigurationChange() {
        record.change { $0.configurationChanges += 1 }
    }

    package func notifyNeedsReset(_ reason: VirtqueueFault) {
        record.change { $0.needsReset.append(reason) }
    }

    /// Returns as soon as `condition` holds for what has been said; it is asked after each word of the device.
    ///
    /// - Parameters:
    ///   - what: What is waited for, in words.
    ///   - duration: How long at most.
    ///   - condition: Asked with what has been said so far.
    /// - Throws: `MissedDeadline`.
    package func wait(
        for what: String,
        within duration: Duration = Deadline.standard,
        until condition: (Record) -> Bool
    ) throws(MissedDeadline) {
        guard record.wait(within: duration, until: condition) else { throw MissedDeadline(what) }
    }
}
