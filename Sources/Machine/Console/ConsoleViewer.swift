// SPDX-License-Identifier: Apache-2.0

import Synchronization
package import SystemPackage

/// A connected socket, open for as long as somebody holds this.
package protocol ConsoleStream: AnyObject, Sendable {
    var descriptor: FileDescriptor { get }
}

/// A connection to a console: shows all that the guest sends and, for one viewer at a time, types.
package final class ConsoleViewer: Sendable {
    let identifier: UInt64
    /// The position of its first byte in the guest's output.
    package let firstPosition: UInt64
    /// Indicates whether its input reaches the guest.
    package let isTyping: Bool
    private let console: MachineConsole
    private let wasConnected = Atomic<Bool>(false)

    init(identifier: UInt64, firstPosition: UInt64, isTyping: Bool, console: MachineConsole) {
        (self.identifier, self.firstPosition, self.isTyping) = (identifier, firstPosition, isTyping)
        self.console = console
    }

    deinit {
        // Gone before it was connected; later the end of the stream counts.
        if !wasConnected.load(ordering: .relaxed) { console.remove(identifier) }
    }

    /// Lets the stream take part, until either side closes it.
    ///
    /// - Parameters:
    ///   - stream: Becomes non-blocking.
    ///   - typed: The bytes that were received on it before.
    package func connect(_ stream: any ConsoleStream, typed: [UInt8] = []) {
        wasConnected.store(true, ordering: .relaxed)
        console.connect(self, stream, typed: typed)
    }
}
