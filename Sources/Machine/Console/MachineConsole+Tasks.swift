// SPDX-License-Identifier: Apache-2.0

import Host
import Synchronization

/// The console for code in this process: any number of readers, and writers of input.
extension MachineConsole {
    // MARK: - Typing

    /// Sends bytes to the guest, after earlier input.
    ///
    /// Waits while the guest has much input still to read.
    ///
    /// - Parameter bytes: The bytes.
    /// - Returns: False where the machine has ended or the task was cancelled before all was taken.
    package func type(_ bytes: [UInt8]) async -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard !shared.withLock({ $0.isClosing }), !Task.isCancelled else { return false }
            let count = feed.withLock { feed in
                let count = min(rest.count, feed.feed.room)
                feed.feed.append(rest.prefix(count))
                return count
            }
            rest = rest.dropFirst(count)
            wake.signal()
            if !rest.isEmpty { await wait { _ in feed.withLock { $0.feed.room == 0 } } }
        }
        return true
    }

    /// Sends a break on the serial line, after earlier input.
    package func sendBreak() {
        feed.withLock { $0.feed.appendLineBreak() }
        wake.signal()
    }

    /// Ends both directions; readers get the rest.
    package func close() {
        let waiters = shared.withLock { shared in
            shared.isClosing = true
            return shared.takeWaiters()
        }
        for waiter in waiters.values { waiter.resume() }
    }

    // MARK: - Reading

    /// A reader of all output, from the kept bytes on; it takes part for as long as it lives.
    package final class Reader: Sendable {
        private let console: MachineConsole
        private let name: PlaceName

        fileprivate init(_ console: MachineConsole, _ identifier: UInt64) {
            (self.console, name) = (console, .reader(identifier))
        }

        deinit {
            console.remove(name)
        }

        /// Returns the next bytes, as soon as there are some.
        ///
        /// - Parameter limit: The greatest number of bytes.
        /// - Returns: Nothing when the machine has ended and all is read, or the task was cancelled.
        package func read(limit: Int) async -> [UInt8] {
            await console.read(name, limit: limit)
        }
    }

    /// Makes a reader, which begins with earlier output, up to half of the ring.
    package func makeReader() -> Reader {
        let identifier = updateRoom { shared in
            let identifier = shared.makeIdentifier()
            // Not everything that is kept: new output of the guest must not push out what this reader has yet to get.
            let (end, mark) = (shared.ring.end, UInt64(shared.ring.capacity / 2))
            let position = max(shared.ring.start, end - min(end, mark))
            shared.places[.reader(identifier)] = Place(position: position, mark: mark)
            return identifier
        }
        return Reader(self, identifier)
    }

    /// The number of bytes that readers lost, because the guest sent them without checking its line.
    package var lostByteCount: UInt64 {
        shared.withLock { $0.lostToReaders }
    }

    private func read(_ name: PlaceName, limit: Int) async -> [UInt8] {
        while true {
            var bytes: [UInt8] = []
            let isClosing = updateRoom { shared in
                let lost = shared.places[name]?.lostByteCount ?? 0
                shared.read(name, limit: limit, into: &bytes)
                shared.places[name]?.position += UInt64(bytes.count)
                shared.lostToReaders += (shared.places[name]?.lostByteCount ?? 0) - lost
                return shared.isClosing
            }
            guard bytes.isEmpty, !isClosing, !Task.isCancelled else { return bytes }
            await wait { $0.places[name]?.position == $0.ring.end }
        }
    }

    private func remove(_ name: PlaceName) {
        updateRoom { $0.places[name] = nil }
    }

    // MARK: - Waiting

    /// Waits while `condition` holds, or until something may have changed it: the caller checks again.
    private func wait(while condition: (Shared) -> Bool) async {
        let identifier = shared.withLock { $0.makeIdentifier() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = shared.withLock { shared in
                    // A task that is cancelled from here on finds its continuation.
                    guard condition(shared), !shared.isClosing, !Task.isCancelled else { return false }
                    shared.waiters[identifier] = continuation
                    return true
                }
                if !waits { continuation.resume() }
            }
        } onCancel: {
            shared.withLock { $0.waiters.removeValue(forKey: identifier) }?.resume()
        }
    }
}
