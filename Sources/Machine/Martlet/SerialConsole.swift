// SPDX-License-Identifier: Apache-2.0

import Console

/// The serial console of a machine, as a sequence of the bytes that the guest sends.
///
///     for await byte in machine.console { … }
///     for await line in machine.console.lines { … }
///
/// The sequence ends when the machine has ended and all is read, or when the task is cancelled.
///
/// ## Buffering
///
/// Each iterator gets every byte, from up to 128 KiB before its start on. Where one is 128 KiB behind, the guest's line is
/// busy: a guest that checks it, as Linux does, waits, and no byte is lost. So code that holds an iterator must keep
/// reading or let it go.
///
/// A guest that does not check its line is served from a reserve of another 128 KiB; bytes that an iterator has
/// not read by then are lost to it, and counted in ``lostByteCount``.
///
/// Without an iterator, nobody waits: the last bytes are kept for the next one. So the guest's output takes 256 KiB
/// at most, and its input a little more than a mebibyte.
public struct SerialConsole: AsyncSequence, Sendable {
    /// One byte that the guest sent.
    public typealias Element = UInt8
    /// Reading does not fail.
    public typealias Failure = Never

    /// The capacity for the guest's output: twice the backlog at which the guest waits.
    static let keptByteCount = 256 << 10

    private let channel: MachineConsole

    init(_ channel: MachineConsole) {
        self.channel = channel
    }

    /// Begins to read, up to 128 KiB back.
    ///
    /// - Returns: A reader, which the guest waits for from now on.
    public func makeAsyncIterator() -> Iterator {
        Iterator(channel.makeReader())
    }

    /// The number of bytes that the guest has sent so far.
    public var byteCount: UInt64 {
        channel.byteCount
    }

    /// The number of bytes that iterators lost, because the guest did not check its line.
    public var lostByteCount: UInt64 {
        channel.lostByteCount
    }

    /// Sends bytes to the guest, as if they were typed.
    ///
    /// They may be sent before the guest is ready for them, and even before the machine starts. Waits while more than a
    /// mebibyte was sent that the guest has not read.
    ///
    /// - Parameter bytes: The bytes.
    /// - Throws: ``MartletError`` with the code ``MartletError/Code/consoleClosed`` where the machine has ended, its console
    ///   leads elsewhere, or the task was cancelled before all was taken.
    public func write(_ bytes: some Sequence<UInt8>) async throws(MartletError) {
        guard await channel.type(Array(bytes)) else {
            throw MartletError(
                .consoleClosed,
                "the console takes no input: it leads elsewhere, or the machine has ended"
            )
        }
    }

    /// Sends text to the guest in UTF-8, as if it were typed.
    ///
    /// - Parameter text: What to send; a line ends with `\n`.
    /// - Throws: As for bytes.
    public func write(_ text: String) async throws(MartletError) {
        try await write(text.utf8)
    }

    /// Sends a break to the guest, after earlier input: Magic SysRq on a Linux console.
    public func sendBreak() {
        channel.sendBreak()
    }

    /// Reads a console, byte by byte.
    public struct Iterator: AsyncIteratorProtocol {
        private static let pieceByteCount = 4096

        private let reader: MachineConsole.Reader
        private var piece: ArraySlice<UInt8> = []

        init(_ reader: MachineConsole.Reader) {
            self.reader = reader
        }

        /// The next byte, as soon as the guest sends it.
        ///
        /// - Returns: `nil` when the machine has ended and all is read, or the task was cancelled.
        public mutating func next() async -> UInt8? {
            await next(isolation: #isolation)
        }

        /// The next byte, as soon as the guest sends it.
        ///
        /// - Parameter actor: Where the caller runs.
        /// - Returns: `nil` when the machine has ended and all is read, or the task was cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> UInt8? {
            if piece.isEmpty { piece = await reader.read(limit: Self.pieceByteCount)[...] }
            return piece.popFirst()
        }
    }
}

/// The ends of the two directions of a machine's serial console.
public enum SerialConsoleAttachment: Hashable, Sendable {
    /// To ``VirtualMachine/console``: this process reads and writes it.
    case stream

    /// To open file descriptors: pipes, files, terminals.
    ///
    /// They stay the caller's, who keeps them open until the machine has ended. A reader that stalls holds back a guest that
    /// checks its line. `nil` for `output` drops the guest's output, for `input` leaves the line silent.
    case fileDescriptors(output: CInt?, input: CInt?)

    /// Nowhere: output is dropped, and there is no input.
    case disconnected
}
