// SPDX-License-Identifier: Apache-2.0

/// Splits the guest's bytes into messages; a guest can send anything.
package struct AgentMessageParser {
    private var buffer: [UInt8] = []
    /// The part of the buffer that is taken already.
    private var offset = 0

    package init() {}

    /// Adds bytes that have come.
    package mutating func append(_ bytes: some Sequence<UInt8>) {
        if offset > 0 {
            buffer.removeFirst(offset)
            offset = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// Takes the next message that is whole.
    ///
    /// - Returns: `nil` where more bytes must come.
    /// - Throws: `AgentError.malformed` for anything but a message.
    package mutating func next() throws(AgentError) -> AgentMessage? {
        let header = AgentMessage.headerByteCount
        guard buffer.count - offset >= header else { return nil }
        var fields = AgentPayload(Array(buffer[offset..<offset + header]))
        let (type, reserved) = (fields.number(UInt8.self), (fields.number(UInt8.self), fields.number(UInt16.self)))
        let count = Int(fields.number(UInt32.self))
        guard let kind = AgentMessage.Kind(rawValue: type), reserved == (0, 0), count <= AgentMessage.payloadLimit
        else {
            throw .malformed("it sent an invalid message")
        }
        guard buffer.count - offset >= header + count else { return nil }
        defer { offset += header + count }
        return AgentMessage(kind, Array(buffer[offset + header..<offset + header + count]))
    }
}
