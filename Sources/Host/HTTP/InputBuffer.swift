// SPDX-License-Identifier: Apache-2.0

/// Bytes that came in and were not taken yet.
struct InputBuffer {
    private var bytes: [UInt8] = []
    /// The first byte that was not taken.
    private var start = 0
    /// Up to where there is no end of a line.
    private var searched = 0

    var isEmpty: Bool { start == bytes.count }

    mutating func append(_ more: ArraySlice<UInt8>) {
        if start > 0 {
            bytes.removeFirst(start)
            (start, searched) = (0, max(0, searched - start))
        }
        bytes += more
    }

    /// Takes a line; it ends with CRLF, which is not part of it.
    ///
    /// - Parameters:
    ///   - limit: The longest line that is taken, in bytes.
    ///   - fault: The error for a longer line.
    /// - Returns: The line; nil where its end has not come yet.
    /// - Throws: `fault`, or 400 for a line that ends with LF alone.
    mutating func line(limit: Int, orThrow fault: HTTPFault) throws(HTTPFault) -> ArraySlice<UInt8>? {
        searched = max(searched, start)
        guard let end = bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) else {
            searched = bytes.count
            // One byte more, for a CR whose LF has not come.
            guard bytes.count - start <= limit + 1 else { throw fault }
            return nil
        }
        guard end - start <= limit + 1 else { throw fault }
        guard end > start, bytes[end - 1] == UInt8(ascii: "\r") else {
            throw HTTPFault(400, "a line must end with CR LF")
        }
        let line = bytes[start..<(end - 1)]
        start = end + 1
        return line
    }

    /// Takes at most `count` bytes.
    mutating func take(upTo count: Int) -> ArraySlice<UInt8> {
        let taken = bytes[start...].prefix(count)
        start += taken.count
        return taken
    }
}
