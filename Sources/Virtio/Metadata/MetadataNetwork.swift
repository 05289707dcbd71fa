// SPDX-License-Identifier: Apache-2.0

import MachineModel

/// The host that a guest sees at the metadata service's address: answers ARP, and HTTP at port 80.
///
/// It takes whole frames and gives whole frames, and asks nobody for anything. A guest can only ever have
/// `connectionMaximum` connections and `resetMaximum` refusals waiting.
struct MetadataNetwork {
    /// Firecracker's limits, too.
    static let connectionMaximum = 30
    static let resetMaximum = 100
    /// Firecracker's address for it.
    static let hardwareAddress: [UInt8] = [0x06, 0x01, 0x23, 0x45, 0x67, 0x01]
    private static let port: UInt16 = 80
    private static let (typeARP, typeIPv4): (UInt16, UInt16) = (0x0806, 0x0800)
    /// The part of a frame that shows whether it is for this address.
    static let headByteCount = 42

    private let address: IPv4Address
    private let service: MetadataService
    private var connections: [Connection] = []
    private var resets: [(guest: [UInt8], segment: TCPSegment)] = []
    /// The answer to the last question for the hardware address.
    private var answer: [UInt8]?
    /// The number of segments so far, by which the connection that is idle longest is found.
    private var clock: UInt64 = 0

    private struct Connection {
        /// The hardware address, and a segment of the guest, whose addresses and ports are the connection's.
        var guest: [UInt8]
        var peer: TCPSegment
        var lastUse: UInt64
        var endpoint: TCPConnection

        func isOf(_ segment: TCPSegment) -> Bool {
            peer.source == segment.source && peer.sourcePort == segment.sourcePort
        }
    }

    init(address: IPv4Address, service: MetadataService) {
        (self.address, self.service) = (address, service)
    }

    /// Returns whether a frame is for this address.
    ///
    /// - Parameter head: Its first bytes, `headByteCount` where it has as many.
    /// - Returns: False for anything but a frame.
    func isAddressed(by head: [UInt8]) -> Bool {
        let frame = ByteReader(head[...])
        return switch frame.word(at: 12) {
        case Self.typeARP: frame.word(at: 20) == 1 && frame.long(at: 38) == address.rawValue
        case Self.typeIPv4: frame.long(at: 30) == address.rawValue
        default: false
        }
    }

    /// Forgets the connections of a driver that is gone.
    mutating func reset() {
        service.count { $0.connectionsDestroyed += UInt64(connections.count) }
        connections.removeAll()
        resets.removeAll()
        answer = nil
    }

    // MARK: - Frames of the guest

    /// Takes a frame that is for this address; what makes no sense has no effect.
    mutating func take(_ frame: [UInt8]) {
        service.count { $0.receivedFrames += 1 }
        let reader = ByteReader(frame[...])
        guard frame.count >= 14 else { return countUnusual() }
        let guest = Array(frame[6..<12])
        if reader.word(at: 12) == Self.typeARP { return answerQuestion(frame) }
        guard let segment = TCPSegment(packet: frame[14...]), segment.destination == address else {
            return countUnusual()
        }
        guard segment.destinationPort == Self.port else { return refuse(segment, guest) }
        clock += 1
        guard let index = connections.firstIndex(where: { $0.isOf(segment) }) else { return open(segment, guest) }
        connections[index].lastUse = clock
        connections[index].guest = guest
        switch connections[index].endpoint.take(segment, { service.answer($0) }) {
        case .goesOn: break
        case .ended: close(index)
        case .replaced:
            close(index)
            open(segment, guest)
        }
    }

    private func countUnusual() { service.count { $0.unusualFrames += 1 } }

    /// Answers a question for the hardware address (RFC 826).
    private mutating func answerQuestion(_ frame: [UInt8]) {
        guard frame.count >= Self.headByteCount, frame[14..<20] == [0, 1, 8, 0, 6, 4] else { return countUnusual() }
        let asker = Array(frame[22..<32])
        let header = Array(asker[..<6]) + Self.hardwareAddress + [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2]
        answer = header + Self.hardwareAddress + address.bytes + asker
    }

    private mutating func open(_ segment: TCPSegment, _ guest: [UInt8]) {
        guard segment.flags.intersection([.syn, .ack, .rst]) == .syn else { return refuse(segment, guest) }
        if connections.count >= Self.connectionMaximum,
            let oldest = connections.indices.min(by: { connections[$0].lastUse < connections[$1].lastUse })
        {
            close(oldest)
        }
        var peer = segment
        peer.payload = []
        let endpoint = TCPConnection(segment, firstSequence: .random(in: 0 ... .max))
        connections.append(Connection(guest: guest, peer: peer, lastUse: clock, endpoint: endpoint))
        service.count { $0.connectionsCreated += 1 }
    }

    private mutating func close(_ index: Int) {
        connections.remove(at: index)
        service.count { $0.connectionsDestroyed += 1 }
    }

    /// Tells the guest that there is no such connection (RFC 9293, 3.5.2).
    private mutating func refuse(_ segment: TCPSegment, _ guest: [UInt8]) {
        guard !segment.flags.contains(.rst), resets.count < Self.resetMaximum else { return }
        let hasAck = segment.flags.contains(.ack)
        let reset = segment.reply(
            sequence: hasAck ? segment.acknowledgement : 0,
            acknowledgement: hasAck ? 0 : segment.sequence &+ segment.sequenceCount,
            flags: hasAck ? .rst : [.rst, .ack]
        )
        resets.append((guest, reset))
    }

    // MARK: - Frames for the guest

    /// Indicates whether there is a frame for the guest.
    var hasFrame: Bool {
        answer != nil || !resets.isEmpty || connections.contains { $0.endpoint.hasSegment }
    }

    /// Takes the next frame for the guest; `nil` where there is none.
    mutating func nextFrame() -> [UInt8]? {
        guard let frame = makeFrame() else { return nil }
        service.count {
            $0.sentFrames += 1
            $0.sentBytes += UInt64(frame.count)
        }
        return frame
    }

    private mutating func makeFrame() -> [UInt8]? {
        if let answer {
            self.answer = nil
            return answer
        }
        if !resets.isEmpty {
            let (guest, segment) = resets.removeFirst()
            return Self.frame(segment, to: guest)
        }
        for index in connections.indices {
            guard let segment = connections[index].endpoint.nextSegment(to: connections[index].peer) else { continue }
            return Self.frame(segment, to: connections[index].guest)
        }
        return nil
    }

    private static func frame(_ segment: TCPSegment, to guest: [UInt8]) -> [UInt8] {
        guest + hardwareAddress + typeIPv4.networkBytes + segment.packet
    }
}
