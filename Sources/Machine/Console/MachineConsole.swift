// SPDX-License-Identifier: Apache-2.0

import Devices
import Dispatch
package import Host
package import Logging
import Storage
import Synchronization
package import SystemPackage

/// The console of a machine: from the serial port to all that read, and back from all that type.
///
/// One ring keeps the last bytes that the guest sent. Readers have a place in it, and a policy:
///
/// - *Lossless*: a file, pipe or terminal (`ConsoleAttachment.output`), and code in this process (`Reader`). While one is too far
///   behind, the guest's line status register says "busy", and a guest that looks at it waits. One that does not look is
///   served from the rest of the ring; what a reader has not read by then is lost to it and counted.
/// - *Log*: a file of the host's, as lossless ones; a log that fails is given up.
/// - *Lossy*: a viewer, which holds nobody up. What it was too slow for is lost to it, and it is told.
///
/// One feed keeps what was typed until the guest takes it: by `ConsoleAttachment.input`, one of the viewers, and code in this
/// process. While the machine is paused nothing of it reaches the guest.
///
/// ## Threads
/// `console` reads the input, serves viewers and writes the log; `console out` writes to the output, which may block for long: a
/// reader that stops reading stops no vCPU, and no key.
package final class MachineConsole: SerialOutput, SerialInput {
    /// The number of bytes that are kept, unless chosen otherwise.
    package static let capacity = 1 << 20
    /// The greatest number of viewers.
    package static let viewerLimit = 32
    /// The number of bytes that the output may be behind before the guest waits.
    package static let outputMark: UInt64 = 64 << 10
    /// The number of bytes of the guest's output that a snapshot keeps.
    static let savedByteCount: UInt64 = 64 << 10
    /// The number of bytes that the log may be behind.
    static let logMark: UInt64 = 256 << 10

    /// A place in the ring that the guest may have to wait for.
    struct Place {
        /// The next byte to read.
        var position: UInt64
        /// The number of bytes that it may be behind before the guest waits; `nil` for a reader that nobody waits for now.
        var mark: UInt64?
        /// The number of bytes that were overwritten before they were read.
        var lostByteCount: UInt64 = 0
    }

    /// The readers that are waited for.
    enum PlaceName: Hashable {
        case output
        case log
        case reader(UInt64)
    }

    typealias Waiter = CheckedContinuation<Void, Never>

    /// The state that vCPUs, readers and threads share.
    struct Shared {
        var ring: ReplayRing
        var places: [PlaceName: Place] = [:]
        /// The end of the ring at which the guest has to wait.
        var endOfRoom: UInt64 = .max
        /// Indicates whether the guest is told to wait.
        var isFull = false
        var limit: TokenBucket?

        // The threads.
        var isThreadAwake = true
        var isWriterWaiting = false
        var outputFailure: Errno?
        var isAbandoned = false
        var isClosing = false

        // Viewers.
        var nextIdentifier: UInt64 = 1
        var viewerCount = 0
        /// The viewer that types, and its connection where there is one already.
        var typist: UInt64?
        var typistStream: (any ConsoleStream)?
        var joining: [Connection] = []

        /// The number of bytes that were overwritten before a `Reader` read them.
        var lostToReaders: UInt64 = 0
        /// Code in this process that waits for bytes to read, or for room to type: each looks again when it is woken.
        var waiters: [UInt64: Waiter] = [:]

        // Breaks the cycle: the port has this console as its output.
        weak var port: (any ConsolePort)?
    }

    /// The packets for the guest.
    struct Feed {
        var feed = SerialFeed()
        /// The machine is paused: nothing reaches the guest.
        var isHeld = false
    }

    let shared: Mutex<Shared>
    let feed: Mutex<Feed>
    let log: Mutex<ConsoleLog?>
    let logger: Logger
    /// Something to do for the console's thread.
    let wake: EventFD
    /// Something to do for the output's thread.
    let work = DispatchSemaphore(value: 0)
    /// The output is given up.
    let abandonment: EventFD
    let connected = Mutex(Connected())
    private let threads = Mutex<[HostThread]>([])
    /// Indicates whether the ring keeps what all have read, for those who come.
    package let replays: Bool
    let terminalPatience: Duration

    /// The address that `connect` was given.
    struct Connected {
        var output: FileDescriptor?
        /// Copies, which are closed when the console ends: by then the number may be another file's.
        var input: OwnedInput?
        var onEvent: @Sendable (ConsoleEvent) -> Void = { _ in }
    }

    /// Makes a console that nobody types at.
    ///
    /// - Parameters:
    ///   - capacity: How many bytes are kept.
    ///   - replays: Whether they are kept when all have read them, for viewers and readers that come later.
    ///   - log: Takes all that the guest sends; `nil` for none.
    ///   - logger: Where it is said when the log fails.
    ///   - terminalPatience: How long a terminal may take nothing before it is no longer waited for.
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

    /// Goes on from a state, before the machine starts.
    ///
    /// - Parameter state: The state, which may come from anybody. What was typed there comes before what was typed here.
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

    /// Indicates whether anything can be typed; without, the port's line is silent.
    package var takesInput: Bool {
        replays || hasInput
    }

    /// Indicates whether `ConsoleAttachment.input` leads to the guest.
    package var hasInput: Bool { connected.withLock { $0.input != nil } }

    // MARK: - Places in the ring

    /// Looks again when the guest has to wait, and lets it go on where it need not any more.
    ///
    /// - Parameter change: What becomes of the readers' places.
    /// - Returns: What `change` returned.
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
                // Not at once: a guest that goes on for each byte that is read would be interrupted for each.
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

    /// Says where the console leads, before it starts; once.
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
            shared.places[.output] = Place(position: shared.ring.end, mark: Self.outputMark)
        }
    }

    /// Starts to serve.
    ///
    /// - Parameters:
    ///   - port: Takes what is typed.
    ///   - gate: Holds the threads until all of the machine's are there.
    /// - Throws: `HostThreadError`.
    package func start(port: any ConsolePort, gate: StartGate? = nil) throws(HostThreadError) {
        shared.withLock { $0.port = port }
        // For what was typed before.
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

    /// Lets nothing that was typed reach the guest until `resume`.
    ///
    /// Commands are obeyed meanwhile, and what the guest sent before is shown and logged.
    package func pause() {
        feed.withLock { $0.isHeld = true }
    }

    /// Goes on, with what was typed meanwhile.
    package func resume() {
        feed.withLock { $0.isHeld = false }
        wake.signal()
    }

    /// Writes out what the guest sent, to the output and the log, and to viewers that take it soon; then ends all of it.
    ///
    /// Waits for an output that takes nothing until `abandonOutput` is called.
    package func finish() {
        let waiters = shared.withLock { shared in
            shared.isClosing = true
            return shared.takeWaiters()
        }
        wake.signal()
        work.signal()
        for thread in threads.withLock({ $0 }) { thread.join() }
        for waiter in waiters.values { waiter.resume() }
        connected.withLock { $0.input = nil }
    }

    /// Gives up on what is not written yet: for an output whose reader does not read.
    package func abandonOutput() {
        shared.withLock { $0.isAbandoned = true }
        abandonment.signal()
        work.signal()
    }

    /// The number of bytes that did not reach the output, because nothing took them in time.
    package var droppedByteCount: UInt64 {
        shared.withLock { shared in
            guard let place = shared.places[.output] else { return 0 }
            let isOver = shared.outputFailure != nil || shared.isClosing
            return place.lostByteCount + (isOver ? shared.ring.end - place.position : 0)
        }
    }
}

extension MachineConsole.Shared {
    mutating func takeWaiters() -> [UInt64: MachineConsole.Waiter] {
        defer { waiters = [:] }
        return waiters
    }

    mutating func makeIdentifier() -> UInt64 {
        defer { nextIdentifier += 1 }
        return nextIdentifier
    }

    /// Copies the next bytes for a reader, and counts those that it was too slow for.
    mutating func read(_ name: MachineConsole.PlaceName, limit: Int, into buffer: inout [UInt8]) {
        buffer.removeAll(keepingCapacity: true)
        guard var place = places[name] else { return }
        let lost = ring.start > place.position ? ring.start - place.position : 0
        place.position += lost
        place.lostByteCount += lost
        ring.copy(from: place.position, limit: limit, into: &buffer)
        places[name] = place
    }

    /// Returns whether the limit of the output allows one more byte.
    fileprivate mutating func isAllowed() -> Bool {
        guard let wait = limit?.wait(for: 1, at: .now) else { return true }
        guard wait == .zero else { return false }
        limit?.take(1)
        return true
    }
}

/// The events of a console, for its machine.
package enum ConsoleEvent: Sendable {
    case command(ConsoleCommand)
    /// The terminal of the input is gone.
    case hangUp
    /// Nothing can be written to the output any more.
    case outputFailed(Errno)
}
