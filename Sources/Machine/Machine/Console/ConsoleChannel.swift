// SPDX-License-Identifier: Apache-2.0

import Devices
import Dispatch
import Synchronization

/// The console of a machine for code in this process: any number of readers, and whoever types.
///
/// A reader loses no byte: while it is `highWaterMark` bytes behind, the guest's line status register says "busy", and a
/// guest that looks at it waits. One that does not look is served from a reserve up to `capacity`; what a reader has not
/// read by then is lost to it and counted. Without readers nobody waits, and the oldest bytes give way.
package final class ConsoleChannel: SerialOutput, SerialInput {
    /// How many bytes are kept.
    package static let capacity = 256 << 10
    /// How far a reader may be behind before the guest waits, and how much a new one gets of what was before.
    package static let highWaterMark = 128 << 10
    /// How much may be typed ahead of `SerialFeed`, which has a limit of its own, before whoever types waits.
    private static let typedLimit = 64 << 10

    private typealias Waiter = CheckedContinuation<Void, Never>

    /// What vCPUs, readers and writers share.
    private struct State {
        var ring = ReplayRing(capacity: ConsoleChannel.capacity)
        /// The next byte of each reader.
        var positions: [UInt64: UInt64] = [:]
        var nextIdentifier: UInt64 = 0
        /// Who waits for bytes to read, or for room to type: each looks again when it is woken.
        var waiters: [UInt64: Waiter] = [:]
        var typed: [UInt8] = []
        /// Breaks to send behind what is typed.
        var lineBreakCount = 0
        var lostByteCount: UInt64 = 0
        var isClosed = false

        var isFull: Bool {
            positions.values.contains { ring.end - $0 >= ConsoleChannel.highWaterMark }
        }

        mutating func takeWaiters() -> [Waiter] {
            defer { waiters = [:] }
            return Array(waiters.values)
        }

        mutating func makeIdentifier() -> UInt64 {
            defer { nextIdentifier += 1 }
            return nextIdentifier
        }
    }

    // The port has this channel as its output.
    private struct WeakPort {
        weak var value: SerialPort?
    }

    private let state = Mutex(State())
    /// The same as `State.isFull`: a guest asks at each look at its line.
    private let isFull = Atomic<Bool>(false)
    private let port = Mutex(WeakPort())
    /// What the guest has not taken yet; only `delivery` uses it.
    private let feed = Mutex(SerialFeed())
    private let delivery = DispatchQueue(label: "martlet.console.channel")
    private let isDeliveryDue = Atomic<Bool>(false)

    /// A channel without readers, which has not started.
    package init() {}

    // MARK: - The guest's side

    /// Whether no reader is too far behind.
    package var hasRoom: Bool {
        !isFull.load(ordering: .relaxed)
    }

    /// Takes a byte that the guest sent.
    package func write(_ byte: UInt8) {
        let waiters = state.withLock { state in
            guard !state.isClosed else { return [Waiter]() }
            state.ring.append(byte)
            isFull.store(state.isFull, ordering: .relaxed)
            return state.takeWaiters()
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Offers the guest what was typed.
    package func serialPortIsReady() {
        guard !isDeliveryDue.exchange(true, ordering: .acquiringAndReleasing) else { return }
        delivery.async { [self] in deliver() }
    }

    private func deliver() {
        isDeliveryDue.store(false, ordering: .sequentiallyConsistent)
        guard let port = port.withLock({ $0.value }) else { return }
        let waiters = feed.withLock { feed in
            let (typed, lineBreakCount, waiters) = feed.hasRoom ? takeTyped() : ([], 0, [])
            for byte in typed { feed.append(byte) }
            for _ in 0..<lineBreakCount { feed.appendLineBreak() }
            feed.deliver(to: port)
            return waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    private func takeTyped() -> ([UInt8], Int, [Waiter]) {
        state.withLock { state in
            defer { (state.typed, state.lineBreakCount) = ([], 0) }
            return (state.typed, state.lineBreakCount, state.takeWaiters())
        }
    }

    // MARK: - Life

    /// Gives the guest from now on what is typed, and was typed before.
    func start(port: SerialPort) {
        self.port.withLock { $0.value = port }
        serialPortIsReady()
    }

    /// Takes no more of either direction; readers get what is left.
    package func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            state.typed = []
            return state.takeWaiters()
        }
        for waiter in waiters { waiter.resume() }
    }

    // MARK: - Typing

    /// Sends bytes to the guest, behind those that were typed before.
    ///
    /// Waits while much was typed that the guest has not read.
    ///
    /// - Parameter bytes: What to send.
    /// - Returns: False where the machine has ended or the task was cancelled before all was taken.
    package func type(_ bytes: [UInt8]) async -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let (count, isClosed) = state.withLock { state in
                guard !state.isClosed else { return (0, true) }
                let count = min(rest.count, Self.typedLimit - state.typed.count)
                state.typed += rest.prefix(count)
                return (count, false)
            }
            guard !isClosed, !Task.isCancelled else { return false }
            rest = rest.dropFirst(count)
            serialPortIsReady()
            if !rest.isEmpty { await wait { $0.typed.count >= Self.typedLimit } }
        }
        return true
    }

    /// Sends a break on the serial line, behind what was typed before.
    package func sendBreak() {
        state.withLock { state in
            // Each is an item of the feed: a line that nobody reads keeps no more of them than it could keep bytes.
            if !state.isClosed, state.lineBreakCount < Self.typedLimit { state.lineBreakCount += 1 }
        }
        serialPortIsReady()
    }

    // MARK: - Reading

    /// How many bytes the guest has sent.
    package var byteCount: UInt64 {
        state.withLock { $0.ring.end }
    }

    /// One that reads all that the guest sends, from what is kept on; it takes part for as long as it lives.
    package final class Reader: Sendable {
        private let channel: ConsoleChannel
        private let identifier: UInt64

        fileprivate init(_ channel: ConsoleChannel, _ identifier: UInt64) {
            (self.channel, self.identifier) = (channel, identifier)
        }

        deinit {
            channel.remove(identifier)
        }

        /// The next bytes, as soon as there are some.
        ///
        /// - Parameter limit: How many at most.
        /// - Returns: Nothing when the machine has ended and all is read, or the task was cancelled.
        package func read(limit: Int) async -> [UInt8] {
            await channel.read(identifier, limit: limit)
        }
    }

    /// Makes a reader, which begins up to `highWaterMark` bytes back.
    ///
    /// - Returns: The reader, which the guest waits for from now on.
    package func makeReader() -> Reader {
        let identifier = state.withLock { state in
            let identifier = state.makeIdentifier()
            // Not all that is kept: what a guest is just sending must not push out what this reader is to get.
            let end = state.ring.end
            state.positions[identifier] = max(state.ring.start, end - min(end, UInt64(Self.highWaterMark)))
            isFull.store(state.isFull, ordering: .relaxed)
            return identifier
        }
        return Reader(self, identifier)
    }

    /// How many bytes were lost to readers, because the guest sent them without a look at its line.
    package var lostByteCount: UInt64 {
        state.withLock { $0.lostByteCount }
    }

    private func read(_ reader: UInt64, limit: Int) async -> [UInt8] {
        while true {
            let (bytes, isClosed) = state.withLock { state in
                let next = state.positions[reader] ?? state.ring.end
                let position = max(next, state.ring.start)
                state.lostByteCount += position - next
                let bytes = Array(state.ring.piece(from: position, limit: limit))
                state.positions[reader] = position + UInt64(bytes.count)
                return (bytes, state.isClosed)
            }
            noteRoom()
            guard bytes.isEmpty, !isClosed, !Task.isCancelled else { return bytes }
            await wait { $0.positions[reader] == $0.ring.end }
        }
    }

    private func remove(_ reader: UInt64) {
        state.withLock { $0.positions[reader] = nil }
        noteRoom()
    }

    /// Lets the guest go on where it waited for a reader.
    private func noteRoom() {
        let hasRoomAgain = state.withLock { state in
            let isFull = state.isFull
            return isFull ? false : self.isFull.exchange(false, ordering: .relaxed)
        }
        if hasRoomAgain { port.withLock { $0.value }?.outputBecameReady() }
    }

    // MARK: - Waiting

    /// Waits while `condition` holds, or until something happens that may change it: the caller looks again.
    private func wait(while condition: (State) -> Bool) async {
        let identifier = state.withLock { $0.makeIdentifier() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state in
                    // A task that is cancelled from here on finds its continuation.
                    guard condition(state), !state.isClosed, !Task.isCancelled else { return false }
                    state.waiters[identifier] = continuation
                    return true
                }
                if !waits { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: identifier) }?.resume()
        }
    }
}
