// SPDX-License-Identifier: Apache-2.0

/// Everything that must survive a snapshot of an `I8042`; the default is what a PC's firmware leaves behind.
package struct I8042State: Codable, Hashable, Sendable {
    /// The controller's 32 bytes of RAM; byte 0 is its configuration.
    package var memory: [UInt8] = I8042Controller.initialMemory
    package var outputPort: UInt8 = I8042Controller.initialOutputPort
    /// The byte that a read of the data port returns.
    package var outputBuffer: UInt8 = 0
    package var isOutputBufferFull = false
    /// The last write went to the command port.
    package var lastWriteWasCommand = false
    /// The command that waits for its byte at the data port.
    package var pendingCommand: UInt8?
    /// The keyboard has sent F0h, and the translation waits for the code that is released.
    package var isTranslatingBreak = false
    package var keyboard = KeyboardState()

    package init() {}
}
