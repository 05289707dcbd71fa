// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Synchronization
import SystemPackage

/// Viewers, one of which types.
extension MachineConsole {
    /// Adds a viewer.
    ///
    /// - Parameters:
    ///   - position: The first byte that it wants, as the number of bytes before it; `nil` for the oldest that is kept.
    ///   - wantsToType: Whether it wants to type, which is possible if nobody else does.
    /// - Returns: The viewer, to be connected; `nil` where there are `viewerLimit` already.
    package func makeViewer(from position: UInt64? = nil, wantsToType: Bool) -> ConsoleViewer? {
        shared.withLock { shared in
            guard shared.viewerCount < Self.viewerLimit else { return nil }
            shared.viewerCount += 1
            let identifier = shared.makeIdentifier()
            let isTyping = wantsToType && (shared.typist == nil || shared.hasTypistLeft)
            if isTyping { (shared.typist, shared.typistStream) = (identifier, nil) }
            let first = min(max(position ?? 0, shared.ring.start), shared.ring.end)
            return ConsoleViewer(identifier: identifier, firstPosition: first, isTyping: isTyping, console: self)
        }
    }

    func connect(_ viewer: ConsoleViewer, _ stream: any ConsoleStream, typed: [UInt8]) {
        let flags = fcntl(stream.descriptor.rawValue, F_GETFL)
        _ = fcntl(stream.descriptor.rawValue, F_SETFL, flags | O_NONBLOCK)
        shared.withLock { shared in
            if shared.typist == viewer.identifier { shared.typistStream = stream }
            shared.joining.append(
                Connection(
                    identifier: viewer.identifier,
                    stream: stream,
                    isTyping: viewer.isTyping,
                    position: viewer.firstPosition,
                    typed: viewer.isTyping ? typed : []
                )
            )
        }
        wake.signal()
    }

    /// Removes the viewer.
    func remove(_ identifier: UInt64) {
        shared.withLock { shared in
            shared.releaseKeyboard(of: identifier)
            shared.viewerCount -= 1
        }
    }
}

extension MachineConsole.Shared {
    /// Releases the keyboard; this viewer sends nothing more.
    mutating func releaseKeyboard(of identifier: UInt64) {
        if typist == identifier { (typist, typistStream) = (nil, nil) }
    }

    /// Indicates whether the typing viewer has left, which the console's thread may not have seen yet.
    fileprivate var hasTypistLeft: Bool {
        guard let typistStream else { return false }
        let events = Poll.wait(for: typistStream.descriptor, .peerClosed, timeout: .zero)
        return !events.isDisjoint(with: [.peerClosed, .hangUp])
    }
}
