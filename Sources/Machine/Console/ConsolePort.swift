// SPDX-License-Identifier: Apache-2.0

package import Devices

/// The guest's end of a console: its serial port, or a program in the guest whose streams the console has.
package protocol ConsolePort: AnyObject, Sendable {
    /// Takes typed bytes.
    ///
    /// - Returns: The number taken; `MachineConsole.serialPortIsReady` is called when there is room for more.
    func receive(_ bytes: Span<UInt8>) -> Int
    /// Takes a break after the bytes.
    ///
    /// - Returns: False where there is no room.
    func receiveBreak() -> Bool
    /// Takes the end of the input, after the bytes.
    func receiveEnd()
    /// Hears that the console takes output again.
    func outputBecameReady()
}

extension SerialPort: ConsolePort {
    /// A serial line has no end.
    package func receiveEnd() {}
}
