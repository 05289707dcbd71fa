// SPDX-License-Identifier: Apache-2.0

import Host
import Storage
import SystemPackage

extension MachineConsole {
    /// A reader's place in the ring.
    struct Place {
        /// The next byte to read.
        var position: UInt64
        /// The backlog at which the guest waits, in bytes; `nil` for a reader that the guest does not wait for now.
        var mark: UInt64?
        /// The number of bytes that were overwritten before they were read.
        var lostByteCount: UInt64 = 0
        /// Indicates whether it loses what comes while it takes nothing.
        var isDropping = false

        /// Indicates whether it loses what comes now.
        var isStalled: Bool { isDropping && mark == nil }
    }

    /// The readers that the guest waits for.
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
        /// The end of the ring at which the guest must wait.
        var endOfRoom: UInt64 = .max
        /// Indicates whether the guest must wait.
        var isFull = false
        var limit: TokenBucket?
        /// The number of bytes that the limit did not let through.
        var limitedByteCount: UInt64 = 0

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
        /// Code in this process that waits for bytes to read, or for room to type: each checks again when it is woken.
        var waiters: [UInt64: Waiter] = [:]

        // Breaks the cycle: the port has this console as its output.
        weak var port: (any ConsolePort)?
    }
}

extension MachineConsole.Shared {
    mutating func takeWaiters() -> [UInt64: MachineConsole.Waiter] {
        defer { waiters = [:] }
        return waiters
    }

    /// Skips the bytes that the output has not taken, and counts them as lost; the output gets what the guest sends from now on.
    mutating func dropOutput() {
        guard var place = places[.output] else { return }
        place.lostByteCount += ring.end - place.position
        (place.position, place.mark) = (ring.end, MachineConsole.outputMark)
        places[.output] = place
    }

    mutating func makeIdentifier() -> UInt64 {
        defer { nextIdentifier += 1 }
        return nextIdentifier
    }

    /// Copies the next bytes for a reader, and counts those that it missed.
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
    mutating func isAllowed() -> Bool {
        guard let wait = limit?.wait(for: 1, at: .now) else { return true }
        guard wait == .zero else {
            limitedByteCount += 1
            return false
        }
        limit?.take(1)
        return true
    }
}
