// SPDX-License-Identifier: Apache-2.0

extension SerialConsole {
    /// The guest's output, line by line.
    ///
    ///     for await line in machine.console.lines { print(line) }
    ///
    /// A prompt, which ends without a line break, comes with the line that it is part of.
    public var lines: Lines { Lines(console: self) }

    /// The lines of a console, without their ends: `\n`, and `\r` before it.
    ///
    /// Bytes that are not UTF-8 are replaced by U+FFFD. The last line may have no end; one that is longer than 64 KiB comes in
    /// pieces of that size.
    public struct Lines: AsyncSequence, Sendable {
        /// A line without its end.
        public typealias Element = String
        /// Reading does not fail.
        public typealias Failure = Never

        fileprivate let console: SerialConsole

        /// Begins to read, as ``SerialConsole/makeAsyncIterator()`` does.
        ///
        /// - Returns: A reader, which the guest waits for from now on.
        public func makeAsyncIterator() -> Iterator {
            Iterator(bytes: console.makeAsyncIterator())
        }

        /// Reads a console, line by line.
        public struct Iterator: AsyncIteratorProtocol {
            private static let limit = 64 << 10

            fileprivate var bytes: SerialConsole.Iterator

            fileprivate init(bytes: SerialConsole.Iterator) {
                self.bytes = bytes
            }

            /// The next line, as soon as the guest has ended it.
            ///
            /// - Returns: `nil` when the machine has ended and all is read, or the task was cancelled.
            public mutating func next() async -> String? {
                await next(isolation: #isolation)
            }

            /// The next line, as soon as the guest has ended it.
            ///
            /// - Parameter actor: Where the caller runs.
            /// - Returns: `nil` when the machine has ended and all is read, or the task was cancelled.
            public mutating func next(isolation actor: isolated (any Actor)?) async -> String? {
                var line: [UInt8] = []
                while line.count < Self.limit, let byte = await bytes.next(isolation: actor) {
                    guard byte == UInt8(ascii: "\n") else {
                        line.append(byte)
                        continue
                    }
                    if line.last == UInt8(ascii: "\r") { line.removeLast() }
                    return String(decoding: line, as: UTF8.self)
                }
                return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
            }
        }
    }
}
