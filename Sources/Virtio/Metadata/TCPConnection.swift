// SPDX-License-Identifier: Apache-2.0

import HTTP

/// One connection of a guest to the metadata service: a TCP endpoint that answers requests (RFC 9293).
///
/// A segment is in the guest's own buffers as soon as it is sent, so there are no timers: only the guest itself can lose one, and
/// its repeated acknowledgements tell that. Everything is bounded: requests have no body, and one is answered at a time.
struct TCPConnection {
    /// The bytes that a guest may send ahead, and the limit of one segment.
    static let windowByteCount: UInt16 = 8192
    /// The largest payload for a guest that names none (RFC 9293, 3.7.1), and the largest for any: an Ethernet frame's.
    private static let (usualPayload, largestPayload) = (536, 1460)
    /// The acknowledgements of the same byte after which what follows it is sent again (RFC 5681, 3.2).
    private static let duplicateMaximum = 3

    private let firstSequence: UInt32
    /// The next byte that the guest sends.
    private var receiveNext: UInt32
    /// The first byte that the guest has not acknowledged, and the next one to be sent.
    private var unacknowledged: UInt32
    private var sendNext: UInt32
    private var window: UInt32
    private let payloadMaximum: Int
    private var duplicateCount = 0

    private var parser = HTTPRequestParser(limits: Self.requestLimits)
    /// The bytes from `unacknowledged` on, without the first and the last bit.
    private var output: [UInt8] = []
    private var isEstablished = false
    /// The guest has sent its last byte; this side is to send its own; it has, with the last bit.
    private var hasPeerFinished = false
    private var isFinishing = false
    private var hasSentFin = false
    private var owesSynAck = true
    private var owesAck = false

    private static let style = HTTPServerStyle(name: "Martlet")
    private static let requestLimits: HTTPParserLimits = {
        var limits = HTTPParserLimits()
        limits.headByteCount = 4096
        limits.headerCount = 32
        // No request here has a body, and a wait for a body that never comes would never end.
        limits.bodyByteCount = 0
        return limits
    }()

    /// The answer to a connection's first segment.
    ///
    /// - Parameters:
    ///   - segment: A segment with `.syn`.
    ///   - firstSequence: The number of this side's first byte, by chance.
    init(_ segment: TCPSegment, firstSequence: UInt32) {
        self.firstSequence = firstSequence
        receiveNext = segment.sequence &+ 1
        (unacknowledged, sendNext) = (firstSequence, firstSequence)
        window = UInt32(segment.window)
        payloadMaximum = min(max(64, Int(segment.maximumPayload ?? UInt16(Self.usualPayload))), Self.largestPayload)
    }

    // MARK: - Receiving

    /// The fate of a connection after a segment.
    enum Fate {
        case goesOn
        /// Both sides have said all, or the guest has broken it off.
        case ended
        /// The guest begins anew from the same port.
        case replaced
    }

    /// Takes a segment of the guest.
    ///
    /// - Returns: Whether the connection continues.
    mutating func take(_ segment: TCPSegment, _ answer: (HTTPRequest) -> HTTPResponse) -> Fate {
        if segment.flags.contains(.rst) { return segment.sequence == receiveNext ? .ended : .goesOn }
        if segment.flags.contains(.syn) {
            guard !isEstablished, segment.sequence &+ 1 == receiveNext else { return .replaced }
            owesSynAck = true
            return .goesOn
        }
        guard segment.flags.contains(.ack), acknowledge(segment) else { return .goesOn }
        guard isEstablished else { return .goesOn }
        receive(segment)
        answerRequests(answer)
        return hasPeerFinished && hasSentFin && unacknowledged == sendNext ? .ended : .goesOn
    }

    /// - Returns: Whether the acknowledgement is of something that was sent.
    private mutating func acknowledge(_ segment: TCPSegment) -> Bool {
        let count = segment.acknowledgement &- unacknowledged
        guard count <= sendNext &- unacknowledged else {
            // Of something that was never sent; or an old one, of which nothing follows.
            owesAck = isEstablished
            return false
        }
        let isRepeated = count == 0 && segment.payload.isEmpty && UInt32(segment.window) == window
        window = UInt32(segment.window)
        if count > 0 {
            duplicateCount = 0
            let isFirst = !isEstablished
            isEstablished = true
            let byteCount = Int(count) - (isFirst ? 1 : 0)
            output.removeFirst(min(byteCount, output.count))
            unacknowledged = segment.acknowledgement
        } else if isRepeated, unacknowledged != sendNext {
            duplicateCount += 1
            if duplicateCount == Self.duplicateMaximum {
                duplicateCount = 0
                sendNext = unacknowledged
                hasSentFin = false
                if !isEstablished { owesSynAck = true }
            }
        }
        return true
    }

    private mutating func receive(_ segment: TCPSegment) {
        guard segment.sequenceCount > 0 else { return }
        owesAck = true
        // The bytes that came before; more than there are: a gap, or all is old.
        let known = receiveNext &- segment.sequence
        guard !hasPeerFinished, known < segment.sequenceCount else { return }
        // One request at a time: segments that come before its answer has gone are dropped, and come again.
        let rest = segment.payload.dropFirst(Int(known))
        guard output.isEmpty || rest.isEmpty else { return }
        let taken = rest.prefix(Int(Self.windowByteCount))
        if !isFinishing { parser.append(taken) }
        receiveNext &+= UInt32(taken.count)
        guard segment.flags.contains(.fin), taken.count == rest.count else { return }
        receiveNext &+= 1
        hasPeerFinished = true
    }

    private mutating func answerRequests(_ answer: (HTTPRequest) -> HTTPResponse) {
        while output.isEmpty, !isFinishing {
            do throws(HTTPFault) {
                guard let request = try parser.next() else { break }
                let keepsAlive = request.keepsAlive
                let connection = keepsAlive ? "keep-alive" : "close"
                output = answer(request).encoded(Self.style, connection: connection)
                isFinishing = !keepsAlive
            } catch {
                output = MetadataService.refusal(error).encoded(Self.style, connection: "close")
                isFinishing = true
            }
        }
        if hasPeerFinished, output.isEmpty { isFinishing = true }
    }

    // MARK: - Sending

    /// Indicates whether there is a segment for the guest.
    var hasSegment: Bool { owesSynAck || owesAck || nextByteCount > 0 || mayFinish }

    /// The bytes that may be sent now.
    private var nextByteCount: Int {
        guard isEstablished, !hasSentFin else { return 0 }
        let sent = Int(sendNext &- unacknowledged)
        return max(0, min(payloadMaximum, output.count - sent, Int(window) - sent))
    }

    private var mayFinish: Bool {
        isEstablished && isFinishing && !hasSentFin && Int(sendNext &- unacknowledged) == output.count
    }

    /// Takes the next segment for the guest.
    ///
    /// - Parameter peer: A segment of the guest to answer: its addresses and ports count.
    /// - Returns: The segment; `nil` where there is none.
    mutating func nextSegment(to peer: TCPSegment) -> TCPSegment? {
        guard hasSegment else { return nil }
        var segment = peer.reply(sequence: sendNext, acknowledgement: receiveNext, flags: .ack)
        segment.window = Self.windowByteCount
        owesAck = false
        if owesSynAck {
            owesSynAck = false
            segment.sequence = firstSequence
            segment.flags.insert(.syn)
            segment.maximumPayload = UInt16(Self.largestPayload)
            sendNext = firstSequence &+ 1
            return segment
        }
        let count = nextByteCount
        if count > 0 {
            let start = Int(sendNext &- unacknowledged)
            segment.payload = Array(output[start..<start + count])
            sendNext &+= UInt32(count)
            if start + count == output.count { segment.flags.insert(.psh) }
        }
        if mayFinish {
            segment.flags.insert(.fin)
            sendNext &+= 1
            hasSentFin = true
        }
        return segment
    }
}

extension TCPSegment {
    /// A segment without payload in the other direction.
    func reply(sequence: UInt32, acknowledgement: UInt32, flags: Flags) -> TCPSegment {
        TCPSegment(
            source: destination,
            destination: source,
            sourcePort: destinationPort,
            destinationPort: sourcePort,
            sequence: sequence,
            acknowledgement: acknowledgement,
            flags: flags
        )
    }
}
