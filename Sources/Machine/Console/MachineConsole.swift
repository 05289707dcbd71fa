// SPDX-License-Identifier: Apache-2.0

import Devices
import Dispatch
package import Host
package import Logging
import Storage
import Synchronization
package import SystemPackage

/// The console of a machine, between the serial port and all readers and writers.
///
/// One ring keeps the last bytes that the guest sent. Readers have a place in it, and a policy:
///
/// - *Lossless*: a file, pipe or terminal (`ConsoleAttachment.output`), and code in this process (`Reader`). While one is too far
///   behind, the guest's line status register says "busy", and a guest that checks it waits. A guest that does not is
///   served from the rest of the ring; bytes that a reader has not read by then are lost to it and counted.
/// - *Log*: a file of the host, lossless too; a failed log is abandoned.
/// - *Lossy*: a viewer, which delays nothing. It misses what it was too slow for, and gets a notice.
///
/// One feed keeps input until the guest takes it: from `ConsoleAttachment.input`, one of the viewers, and code in this
/// process. While the machine is paused no input reaches the guest.
///
/// ## Threads
/// `console` reads the input, serves viewers and writes the log; `console out` writes to the output, which may block for long: a stalled
/// reader stops neither a vCPU nor a key.
package final class MachineConsole: SerialOutput, SerialInput {
    /// The default number of kept bytes.
    package static let capacity = 1 << 20
    /// The greatest number of viewers.
    package static let viewerLimit = 32
    /// The backlog of the output at which the guest waits, in bytes.
    package static let outputMark: UInt64 = 64 << 10
    /// The number of bytes of the guest's output that a snapshot keeps.
    static let savedByteCount: UInt64 = 64 << 10
    /// The backlog of the log at which the guest waits, in bytes.
    static let logMark: UInt64 = 256 << 10

    /// The input for the guest.
    struct Feed {
        var feed = SerialFeed()
        /// Indicates whether the machine is paused: no input reaches the guest.
        var isHeld = false
    }

    let shared: Mutex<Shared>
    let feed: Mutex<Feed>
    let log: Mutex<ConsoleLog?>
    let logger: Logger
    /// Wakes the console's thread.
    let wake: EventFD
    /// Wakes the output's thread.
    let work = DispatchSemaphore(value: 0)
    let abandonment: EventFD
    let connected = Mutex(Connected())
    private let threads = Mutex<[HostThread]>([])
    /// Indicates whether the ring keeps bytes that all have read, for later viewers.
    package let replays: Bool
    let terminalPatience: Duration

    /// The address that `connect` was given.
    struct Connected {
        var output: FileDescriptor?
        /// Copies, which are closed when the console ends: by then the number may be another file's.
        var input: OwnedInput?
        var onEvent: @Sendable (ConsoleEvent) -> Void = { _ in }
    }

    /// Makes a console without input.
    ///
    /// - Parameters:
    ///   - capacity: The number of bytes that are kept.
    ///   - replays: Whether they are kept when all have read them, for viewers and readers that come later.
    ///   - log: The file for all output of the guest; `nil` for none.
    ///   - logger: The log for a failure of `log`.
    ///   - terminalPatience: The time without progress after which a terminal is given up.
    /// - Throws: `Errno` where the process has no descriptor left.
    package init(
        capacity: Int = MachineConsole.capacity,
        replays: Bool = true,
        log: consuming ConsoleLog? = nil,
        logger: Logger = Logger(label: "martlet"),
        terminalPatience: Duration = .seconds(10)
    ) throws(Errno) {
        wake = try EventFD()
        abandonment = try EventFD()
        var shared = Shared(ring: ReplayRing(capacity: capacity))
        let hasLog = log != nil
        if hasLog { shared.places[.log] = Place(position: shared.ring.end, mark: Self.logMark) }
        self.shared = Mutex(shared)
        feed = Mutex(Feed())
        self.log = Mutex(log)
        self.logger = logger
        self.replays = replays
        self.terminalPatience = terminalPatience
        updateRoom()
    }

    /// Indicates whether anything was typed since it was made or restored.
    package var isTypedAt: Bool { feed.withLock { $0.feed.isUsed } }

    /// The state for a snapshot; the machine is paused.
    package var state: ConsoleState {
        var state = ConsoleState()
        (state.typed.bytes, state.lineBreaks) = feed.withLock { $0.feed.waiting }
        shared.withLock { shared in
            state.sentByteCount = shared.ring.end
            let first = max(shared.ring.start, shared.ring.end - min(shared.ring.end, Self.savedByteCount))
            shared.ring.copy(from: first, limit: .max, into: &state.sent.bytes)
        }
        return state
    }

    /// Restores a state, before the machine starts.
    ///
    /// - Parameter state: The state, which may be hostile. Its input comes before new input.
    package func restore(_ state: ConsoleState) {
        feed.withLock { feed in
            let (bytes, lineBreaks) = feed.feed.waiting
            let count = state.typed.bytes.count
            feed.feed = SerialFeed(
                bytes: state.typed.bytes + bytes,
                lineBreaks: state.lineBreaks + lineBreaks.map { $0 + count }
            )
        }
        updateRoom { shared in
            shared.ring = ReplayRing(
                capacity: shared.ring.capacity,
                bytes: replays ? state.sent.bytes : [],
                end: min(state.sentByteCount, 1 << 62)
            )
            for name in shared.places.keys { shared.places[name]?.position = shared.ring.end }
        }
    }

    /// The number of bytes that the guest has sent.
    package var byteCount: UInt64 {
        shared.withLock { $0.ring.end }
    }

    /// The number of bytes that the guest sent beyond `ConsoleAttachment.outputLimit`, and nobody gets.
    package var limitedByteCount: UInt64 {
        shared.withLock { $0.limitedByteCount }
    }

    // MARK: - The serial port's side

    package var hasRoom: Bool {
        shared.withLock { !$0.isFull }
    }

    package func write(_ byte: UInt8) -> Bool {
        let (hasRoom, wakesThread, wakesWriter, waiters) = shared.withLock { shared in
            guard !shared.isClosing, shared.isAllowed() else {
                return (!shared.isFull, false, false, [UInt64: Waiter]())
            }
            // Nobody reads: the byte only counts.
            if replays || !shared.places.isEmpty { shared.ring.append(byte) } else { shared.ring.skip() }
            if shared.ring.end >= shared.endOfRoom { shared.isFull = true }
            let wakesThread = !shared.isThreadAwake && (shared.viewerCount > 0 || shared.places[.log] != nil)
            if wakesThread { shared.isThreadAwake = true }
            defer { (shared.isWriterWaiting, shared.waiters) = (false, [:]) }
            return (!shared.isFull, wakesThread, shared.isWriterWaiting, shared.waiters)
        }
        if wakesThread { wake.signal() }
        if wakesWriter { work.signal() }
        for waiter in waiters.values { waiter.resume() }
        return hasRoom
    }

    package func serialPortIsReady() {
        wake.signal()
    }

    /// Indicates whether there is any input; without, the port's line is silent.
    package var takesInput: Bool {
        replays || hasInput
    }

    /// Indicates whether `ConsoleAttachment.input` leads to the guest.
    package var hasInput: Bool { connected.withLock { $0.input != nil } }

    // MARK: - Places in the ring

    /// Computes anew when the guest must wait, and releases it where it need not wait any more.
    ///
    /// - Returns: The result of `change`.
    @discardableResult
    func updateRoom<R: Sendable>(_ change: (inout Shared) -> R = { _ in }) -> R {
        let (result, port) = shared.withLock { shared in
            let result = change(&shared)
            var (endOfRoom, hasRoomAgain, isRead) = (UInt64.max, true, true)
            for place in shared.places.values {
                let lag = shared.ring.end - min(place.position, shared.ring.end)
                if lag > 0 { isRead = false }
                guard let mark = place.mark else { continue }
                endOfRoom = min(endOfRoom, place.position + mark)
                // Not at once: a guest that resumes for each byte would be interrupted for each.
                if lag > mark / 2 { hasRoomAgain = false }
            }
            shared.endOfRoom = endOfRoom
            if isRead, !replays, !shared.places.isEmpty { shared.ring.forget() }
            if shared.ring.end >= endOfRoom { shared.isFull = true }
            guard shared.isFull, hasRoomAgain else { return (result, (any ConsolePort)?.none) }
            shared.isFull = false
            return (result, shared.port)
        }
        port?.outputBecameReady()
        return result
    }

    // MARK: - Life

    /// Connects the console's other end, once, before it starts.
    ///
    /// - Parameters:
    ///   - attachment: The output stays the caller's, open until `finish` has returned; the input is copied.
    ///   - onEvent: Called from the console's threads.
    /// - Throws: `Errno` where the process has no descriptor left.
    package func connect(
        _ attachment: ConsoleAttachment,
        onEvent: @escaping @Sendable (ConsoleEvent) -> Void = { _ in }
    ) throws(Errno) {
        let input = try attachment.input.map { file throws(Errno) in try OwnedInput(file, attachment.filter) }
        connected.withLock { connected in
            connected.output = attachment.output
            connected.input = input
            connected.onEvent = onEvent
        }
        updateRoom { shared in
            shared.limit = attachment.outputLimit.flatMap(TokenBucket.init)
            guard attachment.output != nil else { return }
            shared.places[.output] = Place(
                position: shared.ring.end,
                mark: Self.outputMark,
                isDropping: attachment.dropsOutput
            )
        }
    }

    package func start(port: any ConsolePort, gate: StartGate? = nil) throws(HostThreadError) {
        shared.withLock { $0.port = port }
        // For earlier input.
        wake.signal()
        if takesInput || shared.withLock({ $0.places[.log] != nil }) {
            let thread = try HostThread("console", gate: gate) { [self] in serve() }
            threads.withLock { $0.append(thread) }
        }
        if let output = connected.withLock({ $0.output }) {
            // Opened here and not on the thread, which may be in a sandbox.
            let terminal = Self.openTerminal(of: output)
            let thread = try HostThread("console out", gate: gate) { [self] in
                writeOutput(to: terminal ?? output)
                try? terminal?.close()
            }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Keeps all input from the guest until `resume`.
    ///
    /// Commands work meanwhile, and earlier output is shown and logged.
    package func pause() {
        feed.withLock { $0.isHeld = true }
    }

    /// Resumes, with the input that came meanwhile.
    package func resume() {
        feed.withLock { $0.isHeld = false }
        wake.signal()
    }

    /// Writes the remaining output to the output, the log, and viewers that take it soon; then ends the threads.
    ///
    /// Waits for a stalled output until `abandonOutput` is called, unless it drops what it does not take.
    package func finish() {
        let (waiters, isStalled) = shared.withLock { shared in
            shared.isClosing = true
            return (shared.takeWaiters(), shared.places[.output]?.isStalled ?? false)
        }
        if isStalled { abandonOutput() }
        wake.signal()
        work.signal()
        for thread in threads.withLock({ $0 }) { thread.join() }
        for waiter in waiters.values { waiter.resume() }
        connected.withLock { $0.input = nil }
    }

    /// Drops output that is not written yet, for a reader that does not read.
    package func abandonOutput() {
        shared.withLock { $0.isAbandoned = true }
        abandonment.signal()
        work.signal()
    }

    /// The number of bytes that did not reach the output, because nobody read them in time.
    package var droppedByteCount: UInt64 {
        shared.withLock { shared in
            guard let place = shared.places[.output] else { return 0 }
            let isOver = shared.outputFailure != nil || shared.isClosing || place.isStalled
            return place.lostByteCount + (isOver ? shared.ring.end - place.position : 0)
        }
    }
}

/// The events of a console, for its machine.
package enum ConsoleEvent: Sendable {
    case command(ConsoleCommand)
    /// The input's terminal has hung up.
    case hangUp
    case outputFailed(Errno)
}
