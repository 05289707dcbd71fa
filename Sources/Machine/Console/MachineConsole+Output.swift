// SPDX-License-Identifier: Apache-2.0

import Glibc
import Dispatch
import Host
import Synchronization
import SystemPackage

/// The thread that writes to the output: a file, pipe or terminal that may block for long.
///
/// A pipe's reader may stall for any time, as with any program. A terminal that takes nothing for `terminalPatience` counts
/// as absent: the guest, which may be a kernel that only waits for its console, continues as if there were
/// room, until the terminal takes bytes again. With `ConsoleAttachment.dropsOutput` every output is one whose patience is short, and
/// that loses what it did not take, as Firecracker's does.
extension MachineConsole {
    /// The time without progress after which an output that drops is given up.
    private static let dropPatience = Duration.milliseconds(100)

    private enum Next {
        case write
        case sleep
        case end
    }

    /// Opens a descriptor's terminal again without blocking writes: a terminal that polls writable may have room for one byte only.
    ///
    /// The descriptor's own flag is shared with every process that has it.
    ///
    /// - Returns: A descriptor for the caller to close; `nil` for a file that is not a terminal, or cannot be opened.
    static func openTerminal(of file: FileDescriptor) -> FileDescriptor? {
        guard Terminal.isTerminal(file) else { return nil }
        let flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
        let terminal = unsafe open("/proc/self/fd/\(file.rawValue)", flags)
        return terminal >= 0 ? FileDescriptor(rawValue: terminal) : nil
    }

    func writeOutput(to file: FileDescriptor) {
        let isTerminal = Terminal.isTerminal(file)
        var buffer: [UInt8] = []
        while true {
            // As much as a pipe that polls writable takes without a wait, where nobody else writes to it.
            let next = shared.withLock { shared -> Next in
                shared.read(.output, limit: Int(PIPE_BUF), into: &buffer)
                if !buffer.isEmpty { return shared.isAbandoned ? .end : .write }
                shared.isWriterWaiting = !shared.isClosing
                return shared.isClosing ? .end : .sleep
            }
            switch next {
            case .end: return
            case .sleep: work.wait()
            case .write:
                do throws(Errno) {
                    try write(buffer[...], to: file, isTerminal: isTerminal)
                } catch {
                    return giveUpOutput(error)
                }
            }
        }
    }

    private func write(_ bytes: ArraySlice<UInt8>, to file: FileDescriptor, isTerminal: Bool) throws(Errno) {
        var rest = bytes
        let isDropping = shared.withLock { $0.places[.output]?.isDropping ?? false }
        let patience: Duration? = isDropping ? Self.dropPatience : isTerminal ? terminalPatience : nil
        var isStalled = false
        while !rest.isEmpty {
            // Waits here and not in write(2), so that the wait can be cancelled.
            let ready = Poll.wait(
                for: [(file, .writable), (abandonment.descriptor, .readable)],
                timeout: isStalled ? nil : patience
            )
            if !ready[1].isEmpty { throw .canceled }
            guard !ready[0].isEmpty else {
                // Nor does the end of the machine wait for it.
                if shared.withLock({ $0.isClosing }) { throw .canceled }
                updateRoom { $0.places[.output]?.mark = nil }
                isStalled = isDropping
                continue
            }
            if isStalled { return updateRoom { $0.dropOutput() } }
            do throws(Errno) {
                let count = try file.writeSome(rest)
                rest = rest.dropFirst(count)
                updateRoom { shared in
                    shared.places[.output]?.position += UInt64(count)
                    shared.places[.output]?.mark = Self.outputMark
                }
            } catch .resourceTemporarilyUnavailable {
                continue
            }
        }
    }

    /// A guest that waits for room need not wait for a reader that is gone.
    private func giveUpOutput(_ errno: Errno) {
        updateRoom { shared in
            shared.places[.output]?.mark = nil
            shared.outputFailure = errno
        }
        guard errno != .canceled else { return }
        connected.withLock { $0.onEvent }(.outputFailed(errno))
    }
}
