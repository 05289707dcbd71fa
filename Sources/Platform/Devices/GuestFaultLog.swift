// SPDX-License-Identifier: Apache-2.0

package import Logging
import Synchronization

/// Counts guest errors at one device, and logs them at a limited rate.
///
/// The first `verboseCount` faults are logged, after that only those whose number is a power of two: a guest that does
/// nothing else for a year writes fewer than 64 more lines. No clock is needed, nothing is stored per fault, and a
/// fault that is not logged costs one atomic addition; its message is never made.
package final class GuestFaultLog: Sendable {
    /// The number of faults that are logged before the rate falls.
    package static let verboseCount: UInt64 = 8

    private let device: String
    private let logger: Logger
    private let level: Logger.Level
    private let total = Atomic<UInt64>(0)

    /// Messages go to `logger` with `level`; its own level decides whether they are written.
    package init(
        device: String,
        logger: Logger = Logger(label: "martlet.devices"),
        level: Logger.Level = .debug
    ) {
        self.device = device
        self.logger = logger
        self.level = level
    }

    /// The number of faults, logged or not.
    package var count: UInt64 { total.load(ordering: .relaxed) }

    /// Counts one fault; makes and logs `fault` only if this one is due.
    ///
    /// - Parameter fault: The guest's error, without the device's name.
    package func record(_ fault: @autoclosure () -> String) {
        let number = total.wrappingAdd(1, ordering: .relaxed).newValue
        guard number <= Self.verboseCount || number & (number &- 1) == 0 else { return }
        logger.log(
            level: level,
            "\(device): \(fault())",
            metadata: number > Self.verboseCount ? ["faults": "\(number)"] : nil
        )
    }
}
