// SPDX-License-Identifier: Apache-2.0

import Host

/// A message between the host and the guest's agent: a kind and a payload (docs/agent.md).
package struct AgentMessage: Hashable, Sendable {
    /// The version of the messages.
    package static let version: UInt32 = 1
    /// The version that has those of pods too.
    package static let podVersion: UInt32 = 2
    /// The version that has those that restrict a program too.
    static let restrictionVersion: UInt32 = 3
    /// The agent's vsock port.
    package static let port: UInt32 = 1000
    /// The largest payload.
    package static let payloadLimit = 65536
    /// The number of bytes of standard input that may be on their way.
    package static let inputWindow = 65536
    static let headerByteCount = 8

    package enum Kind: UInt8, Sendable {
        case hello = 1
        case clock, argument, variable, user, folder, capabilities, limit, options, container, root, mount, stage,
            setting
        case hostName, size, interface, route, pod

        case entry = 20
        case data, end
        case path = 24
        case filter

        case run = 32
        case get, put, processes, disks

        case input = 40
        case inputEnd, signal

        case started = 64
        case failed, output, errorOutput, taken, exit, done, process
    }

    package var kind: Kind
    package var payload: [UInt8]

    package init(_ kind: Kind, _ payload: [UInt8] = []) {
        (self.kind, self.payload) = (kind, payload)
    }

    /// Header and payload, as they are sent.
    package var bytes: [UInt8] {
        [kind.rawValue, 0, 0, 0] + Self.bytes(UInt32(clamping: payload.count)) + payload
    }

    // MARK: - Payloads

    /// An integer, little-endian.
    static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        unsafe withUnsafeBytes(of: value.littleEndian) { unsafe Array($0) }
    }

    /// A string with its NUL.
    static func bytes(_ text: String) throws(AgentError) -> [UInt8] {
        let bytes = text.hostBytes
        guard !bytes.contains(0) else { throw .unusable("\(printable(text)) contains a zero byte") }
        guard bytes.count < 64 << 10 else {
            throw .unusable("text of \(bytes.count) bytes is too long for the guest's agent")
        }
        return bytes + [0]
    }
}

/// Reads a payload; missing bytes are zero, and `isWhole` reports them.
struct AgentPayload {
    private var rest: ArraySlice<UInt8>
    private(set) var isWhole = true

    init(_ bytes: [UInt8]) {
        rest = bytes[...]
    }

    mutating func number<T: FixedWidthInteger>(_ type: T.Type = T.self) -> T {
        let count = MemoryLayout<T>.size
        guard rest.count >= count else {
            isWhole = false
            return 0
        }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count).reversed().reduce(0) { $0 << 8 | T(truncatingIfNeeded: $1) }
    }

    /// The next string, as `String(hostBytes:)` has it.
    mutating func string() -> String {
        guard let end = rest.firstIndex(of: 0) else {
            isWhole = false
            return ""
        }
        defer { rest = rest[(end + 1)...] }
        return String(hostBytes: Array(rest[..<end]))
    }
}
