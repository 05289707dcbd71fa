// SPDX-License-Identifier: Apache-2.0

/// The destination of the bytes that a guest sends: a terminal, a file, a buffer.
///
/// Both calls come from vCPU threads, outside every lock of the port. They must not block.
package protocol SerialOutput: Sendable {
    /// Indicates whether the output is below its high-water mark.
    ///
    /// An output that returns `false`, here or from `write`, must call `SerialPort.outputBecameReady()` some time after it would give `true`.
    var hasRoom: Bool { get }

    /// Takes one byte, also while `hasRoom` is false: guests fill a FIFO of 16 at a time, and some never ask.
    ///
    /// Only when its reserve beyond the high-water mark is used up does the output drop bytes, and it counts them.
    ///
    /// - Returns: The new value of `hasRoom`, so that a byte costs the output one lock.
    func write(_ byte: UInt8) -> Bool

    /// The guest began or ended a break on the line (LCR bit 6).
    func setBreak(_ isActive: Bool)
}

extension SerialOutput {
    package func setBreak(_ isActive: Bool) {}
}

/// The sender of bytes to a guest through a `SerialPort`.
package protocol SerialInput: Sendable {
    /// The port can take more, or waits to hear that the line is silent.
    ///
    /// Call `SerialPort.receive(_:)` soon, from another thread or a queue, with available bytes; with none if there is
    /// nothing. Comes from vCPU threads, outside every lock of the port; must not block.
    func serialPortIsReady()
}
