// SPDX-License-Identifier: Apache-2.0

import Devices
import Dispatch
import Glibc
import Host
import Synchronization
package import SystemPackage

/// Takes what the guest's serial port sends and writes it to a file, pipe or terminal, from a thread of its own: a
/// reader that stops reading never stops a vCPU.
///
/// Beyond `highWaterMark` waiting bytes `hasRoom` is false and a guest that looks at its line status register waits. A
/// guest that does not look is served from a reserve up to `capacity`; what it sends beyond is dropped, as a UART would
/// overrun, and counted.
///
/// A pipe's reader may stall for as long as it likes, as for any program. A terminal that takes nothing for
/// `terminalPatience` is taken for absent: the guest, which may be a kernel that does nothing but wait for its console,
/// goes on as if there were room, until the terminal takes bytes again.
package final class ConsoleOutput: SerialOutput {
    package static let highWaterMark = 64 << 10
    package static let capacity = 1 << 20
    /// In milliseconds.
    package static let terminalPatience: CInt = 10_000

    private struct State {
        /// What the guest sent and the writer has not taken yet.
        var pending: [UInt8] = []
        /// What the writer has taken and not written yet.
        var inFlightByteCount = 0
        var droppedByteCount: UInt64 = 0
        var isWriterWaiting = false
        /// The terminal takes nothing; nobody waits for it.
        var isStalled = false
        var isClosing = false
        /// Why nothing can be written any more.
        var failure: Errno?

        var waitingByteCount: Int { pending.count + inFlightByteCount }
    }

    private let file: FileDescriptor
    private let isTerminal: Bool
    /// Called without a lock, from the writer, when `hasRoom` becomes true again.
    private let onRoom = Mutex<(@Sendable () -> Void)?>(nil)
    private let onFailure: @Sendable (Errno) -> Void
    private let state = Mutex(State())
    private let isFull = Atomic<Bool>(false)
    private let work = DispatchSemaphore(value: 0)
    private let finished = DispatchSemaphore(value: 0)
    private let abandonment: EventFD

    /// - Parameters:
    ///   - file: Blocking or not, it stays as it is; the caller keeps it open until `finish` has returned.
    ///   - onFailure: Called once, from the writer, when nothing can be written any more.
    /// - Throws: `Errno` when the process has no descriptor left.
    package init(file: FileDescriptor, onFailure: @escaping @Sendable (Errno) -> Void) throws(Errno) {
        self.file = file
        isTerminal = Terminal.isTerminal(file)
        self.onFailure = onFailure
        abandonment = try EventFD()
    }

    /// Starts to write, on a thread of its own; once.
    package func start() {
        DispatchQueue(label: "martlet.console.output").async { [self] in
            writeUntilClosed()
            finished.signal()
        }
    }

    /// Sets what is called when `hasRoom` becomes true again.
    package func setRoomHandler(_ handler: @escaping @Sendable () -> Void) {
        onRoom.withLock { $0 = handler }
    }

    // MARK: - The guest's side

    package var hasRoom: Bool {
        !isFull.load(ordering: .relaxed)
    }

    package func write(_ byte: UInt8) {
        let wakesWriter = state.withLock { state in
            guard state.failure == nil, !state.isClosing, state.waitingByteCount < Self.capacity else {
                state.droppedByteCount += 1
                return false
            }
            state.pending.append(byte)
            if state.waitingByteCount >= Self.highWaterMark, !state.isStalled { isFull.store(true, ordering: .relaxed) }
            defer { state.isWriterWaiting = false }
            return state.isWriterWaiting
        }
        if wakesWriter { work.signal() }
    }

    // MARK: - The host's side

    /// After `start`, waits until all that the guest sent is written, or cannot be, or `abandon` is called; then takes no more.
    package func finish() {
        state.withLock { $0.isClosing = true }
        work.signal()
        finished.wait()
        // For whoever else calls.
        finished.signal()
    }

    /// How many bytes were dropped because nothing took them in time.
    package var droppedByteCount: UInt64 {
        state.withLock { $0.droppedByteCount }
    }

    /// Gives up on what is not written yet: for a reader that will not read.
    package func abandon() {
        state.withLock { $0.isClosing = true }
        abandonment.signal()
        work.signal()
    }

    // MARK: - The writer

    private func writeUntilClosed() {
        // Two buffers take turns, so that no byte is copied and none allocated for in the steady state.
        var batch: [UInt8] = []
        while true {
            let (isClosing, isEmpty) = state.withLock { state in
                swap(&state.pending, &batch)
                state.inFlightByteCount = batch.count
                state.isWriterWaiting = batch.isEmpty && !state.isClosing
                return (state.isClosing, batch.isEmpty)
            }
            if isEmpty {
                if isClosing { return }
                work.wait()
                continue
            }
            guard writeAll(batch) else { return }
            batch.removeAll(keepingCapacity: true)
        }
    }

    /// - Returns: False when nothing can be written any more.
    private func writeAll(_ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            switch writeSome(bytes, from: done) {
            case .success(let count):
                done += count
                noteWritten(count)
            case .failure(.interrupted), .failure(.resourceTemporarilyUnavailable):
                continue
            case .failure(let errno):
                state.withLock { state in
                    state.failure = errno
                    state.droppedByteCount += UInt64(state.waitingByteCount)
                    state.pending = []
                    state.inFlightByteCount = 0
                }
                isFull.store(false, ordering: .relaxed)
                if errno != .canceled { onFailure(errno) }
                // A guest that waits for room need not wait for a reader that is gone.
                onRoom.withLock { $0 }?()
                return false
            }
        }
        return true
    }

    private func writeSome(_ bytes: [UInt8], from start: Int) -> Result<Int, Errno> {
        // Waits here and not in write(2), so that it can be called off; a pipe that polls writable takes PIPE_BUF bytes.
        var polled = [
            pollfd(fd: file.rawValue, events: Int16(POLLOUT), revents: 0),
            pollfd(fd: abandonment.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            let count = unsafe poll(&polled, 2, isTerminal ? Self.terminalPatience : -1)
            guard count >= 0 else { return .failure(Errno(rawValue: errno)) }
            if count > 0 { break }
            noteStall()
        }
        guard polled[1].revents == 0 else { return .failure(.canceled) }
        let count = unsafe bytes.withUnsafeBytes { buffer in
            let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[start...].prefix(Int(PIPE_BUF)))
            return unsafe Glibc.write(file.rawValue, rest.baseAddress, rest.count)
        }
        return count < 0 ? .failure(Errno(rawValue: errno)) : .success(count)
    }

    private func noteStall() {
        state.withLock { state in
            state.isStalled = true
            isFull.store(false, ordering: .relaxed)
        }
        onRoom.withLock { $0 }?()
    }

    private func noteWritten(_ count: Int) {
        let hasRoomAgain = state.withLock { state in
            state.inFlightByteCount -= count
            state.isStalled = false
            guard isFull.load(ordering: .relaxed), state.waitingByteCount <= Self.highWaterMark / 2 else {
                return false
            }
            isFull.store(false, ordering: .relaxed)
            return true
        }
        if hasRoomAgain { onRoom.withLock { $0 }?() }
    }
}
