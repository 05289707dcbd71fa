// SPDX-License-Identifier: Apache-2.0

import Console
import GuestAgent
import Host
import Synchronization
import SystemPackage

/// A machine's console as the streams of a program in its guest, in place of the serial port.
final class ProgramConsole: ConsolePort {
    /// The number of typed bytes that wait for the program; the console keeps the rest.
    private static let inputLimit = 4096

    private let console: MachineConsole
    private let typed = Mutex(Typed())
    private let windowSize = Mutex<Terminal.Size?>(nil)
    private let inputEvent: EventFD
    private let roomEvent: EventFD

    private struct Typed {
        var bytes: [UInt8] = []
        var hasEnded = false
        /// The console keeps bytes that there was no room for.
        var isFull = false
    }

    init(_ console: MachineConsole) throws(Errno) {
        self.console = console
        (inputEvent, roomEvent) = (try EventFD(), try EventFD())
        // There is room at first, and nobody tells.
        roomEvent.signal()
    }

    // MARK: - The console's side

    func receive(_ bytes: Span<UInt8>) -> Int {
        let count = typed.withLock { typed in
            let count = min(bytes.count, Self.inputLimit - typed.bytes.count)
            for index in 0..<count { typed.bytes.append(bytes[index]) }
            typed.isFull = count < bytes.count
            return count
        }
        if count > 0 { inputEvent.signal() }
        return count
    }

    /// A program has no line that could break.
    func receiveBreak() -> Bool { true }

    func receiveEnd() {
        typed.withLock { $0.hasEnded = true }
        inputEvent.signal()
    }

    func outputBecameReady() { roomEvent.signal() }

    // MARK: - The program's side

    /// Sets the window size of the terminal that types.
    func setWindowSize(_ size: Terminal.Size) { windowSize.withLock { $0 = size } }

    /// Standard input; its end shows when it was read empty.
    var input: any ProgramStream { Input(console: self) }
    /// Standard output and standard error.
    var output: any ProgramStream { Output(console: self) }

    private struct Input: ProgramStream {
        let console: ProgramConsole

        var descriptor: FileDescriptor { console.inputEvent.descriptor }
        var roomEvent: Poll.Events { [] }
        var terminalSize: Terminal.Size? { console.windowSize.withLock { $0 } }

        func readSome(limit: Int) throws(Errno) -> [UInt8] {
            console.inputEvent.take()
            let (bytes, isEnd, wasFull) = console.typed.withLock { typed in
                let bytes = Array(typed.bytes.prefix(limit))
                typed.bytes.removeFirst(bytes.count)
                if !typed.bytes.isEmpty || typed.hasEnded { console.inputEvent.signal() }
                defer { typed.isFull = false }
                return (bytes, typed.hasEnded, typed.isFull)
            }
            if wasFull { console.console.serialPortIsReady() }
            if bytes.isEmpty, !isEnd { throw .resourceTemporarilyUnavailable }
            return bytes
        }

        func writeSome(_: ArraySlice<UInt8>) throws(Errno) -> Int { throw .badFileDescriptor }
    }

    private struct Output: ProgramStream {
        let console: ProgramConsole

        var descriptor: FileDescriptor { console.roomEvent.descriptor }
        var roomEvent: Poll.Events { .readable }
        var terminalSize: Terminal.Size? { nil }

        func readSome(limit _: Int) throws(Errno) -> [UInt8] { throw .badFileDescriptor }

        func writeSome(_ bytes: ArraySlice<UInt8>) throws(Errno) -> Int {
            console.roomEvent.take()
            var (count, hasRoom) = (0, console.console.hasRoom)
            for byte in bytes where hasRoom {
                hasRoom = console.console.write(byte)
                count += 1
            }
            // More may follow at once.
            if hasRoom { console.roomEvent.signal() }
            guard count > 0 else { throw .resourceTemporarilyUnavailable }
            return count
        }
    }
}
