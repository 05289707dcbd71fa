// SPDX-License-Identifier: Apache-2.0

package import MachineModel
package import SystemPackage

/// The ends of the two directions of a machine's serial console.
package struct ConsoleAttachment: Sendable {
    /// The receiver of the guest's output; `nil` drops it.
    package var output: FileDescriptor?
    /// The source of the guest's input; `nil` leaves the line silent.
    package var input: FileDescriptor?
    /// Finds commands in the input.
    package var filter = EscapeFilter(prefix: nil)
    /// Takes part besides `output` and `input`: for viewers that come and go, a log, and code in this process.
    package var console: MachineConsole?
    /// The guest's end of the console, in place of the serial port, which is silent then and drops what it is sent.
    package var port: (any ConsolePort)?
    /// The number of bytes that the guest may send; further ones are dropped.
    package var outputLimit: RateLimit.Bucket?
    /// Indicates whether the guest waits for no reader of the output: one that takes nothing for a moment loses what comes until it does.
    package var dropsOutput = false

    package init(output: FileDescriptor? = nil, input: FileDescriptor? = nil, console: MachineConsole? = nil) {
        self.output = output
        self.input = input
        self.console = console
    }
}
