// SPDX-License-Identifier: Apache-2.0

package import Devices
import Dispatch
import Glibc
import Host
import Synchronization
package import SystemPackage

/// Reads what a user types, or a pipe holds, and feeds it to the guest's serial port as fast as the guest takes it.
///
/// What the guest has not taken stays here, up to `SerialFeed.capacity` bytes; beyond, the file is left unread, so that its writer
/// waits. Nothing is lost in between.
package final class ConsoleInput: SerialInput {
    /// What this input tells its machine.
    package enum Event: Sendable {
        case command(EscapeFilter.Command)
        /// The terminal is gone.
        case hangUp
    }

    /// A copy, until the reader's thread takes it: by the time that ends, the original may be another file.
    private let file: Mutex<OwnedDescriptor?>
    private let isTerminal: Bool
    private let filter: EscapeFilter
    private let onEvent: @Sendable (Event) -> Void
    /// Something to do: the port is ready, or `stop` was called.
    private let wake: EventFD
    private let isStopping = Atomic<Bool>(false)

    /// - Parameters:
    ///   - file: Where the input comes from; stays as it is, and may be closed when the input was stopped.
    ///   - filter: Finds commands in it.
    ///   - onEvent: Called from the reader's thread.
    /// - Throws: `Errno` when the process has no descriptor left.
    package init(
        file: FileDescriptor,
        filter: EscapeFilter,
        onEvent: @escaping @Sendable (Event) -> Void
    ) throws(Errno) {
        do throws(Errno) {
            self.file = Mutex(try OwnedDescriptor(duplicating: file))
        } catch .badFileDescriptor {
            // Closed from the start: nothing will come.
            self.file = Mutex(nil)
        }
        self.filter = filter
        self.onEvent = onEvent
        isTerminal = Terminal.isTerminal(file)
        wake = try EventFD()
    }

    package func serialPortIsReady() {
        wake.signal()
    }

    /// Starts to read, on a thread of its own.
    package func start(port: SerialPort) {
        guard let file = file.withLock({ $0.take() }) else { return }
        DispatchQueue(label: "martlet.console.input").async { [self] in
            var reader = Reader(filter: filter)
            while !isStopping.load(ordering: .acquiring) {
                step(file.borrowed, &reader, port)
            }
        }
    }

    /// Ends the thread soon; what the guest has not taken is forgotten.
    package func stop() {
        isStopping.store(true, ordering: .releasing)
        wake.signal()
    }

    // MARK: - The reader's thread

    private struct Reader {
        var filter: EscapeFilter
        var feed = SerialFeed()
        var isAtEnd = false
    }

    private func step(_ file: FileDescriptor, _ reader: inout Reader, _ port: SerialPort) {
        let wantsMore = !reader.isAtEnd && reader.feed.hasRoom
        // A negative descriptor is one that poll leaves out.
        var polled = [
            pollfd(fd: wake.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wantsMore ? file.rawValue : -1, events: Int16(POLLIN), revents: 0),
        ]
        guard unsafe poll(&polled, 2, -1) >= 0 else { return }
        _ = wake.take()
        // What comes with the end is somebody else's: the shell's, after martlet.
        guard !isStopping.load(ordering: .acquiring) else { return }
        if polled[1].revents != 0 { read(file, &reader) }
        reader.feed.deliver(to: port)
    }

    private func read(_ file: FileDescriptor, _ reader: inout Reader) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(file.rawValue, $0.baseAddress, $0.count) }
        guard count > 0 else {
            let error = count < 0 ? Errno(rawValue: errno) : nil
            if error == .interrupted || error == .resourceTemporarilyUnavailable { return }
            // A pipe or file has an end, behind which the guest goes on without input. A terminal has none.
            reader.isAtEnd = true
            if isTerminal { onEvent(.hangUp) }
            return
        }
        for byte in buffer.prefix(count) {
            switch reader.filter.process(byte) {
            case .byte(let byte): reader.feed.append(byte)
            case .command(.sendBreak): reader.feed.appendLineBreak()
            case .command(let command): onEvent(.command(command))
            case nil: break
            }
        }
    }
}
