// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import MachineModel
import Network
import TestSupport

@testable import Metadata

/// A guest's kernel, as far as a test needs one: makes frames for the metadata service, and reads those that come.
final class MetadataGuest {
    static let hardwareAddress: [UInt8] = [6, 0, 0xac, 0x10, 0, 2]
    static let address = IPv4Address(rawValue: 0x0a58_0002)
    static let service = IPv4Address(rawValue: 0xa9fe_a9fe)

    let metadata = MetadataService()
    let backend: MetadataBackend
    /// The program at the other end of the network.
    private(set) var pair: SocketPair

    init() throws {
        pair = try SocketPair(SOCK_SEQPACKET)
        let base = DatagramBackend(adopting: try pair.take(), name: "test")
        backend = try MetadataBackend(base, address: Self.service, service: metadata)
    }

    func send(_ frame: [UInt8]) -> NetworkSending {
        var frame = frame
        return unsafe frame.withUnsafeMutableBytes { bytes in
            var vectors = FrameVectors()
            let vector = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
            unsafe vectors.append(vector)
            return backend.send(&vectors)
        }
    }

    func receive() -> [UInt8]? {
        var frame = [UInt8](repeating: 0, count: 2000)
        let result = unsafe frame.withUnsafeMutableBytes { bytes in
            var vectors = FrameVectors()
            let vector = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
            unsafe vectors.append(vector)
            return backend.receive(into: &vectors)
        }
        guard case .frame(let byteCount) = result else { return nil }
        return Array(frame.prefix(byteCount))
    }

    /// Sends a segment, and returns all that comes back.
    @discardableResult
    func exchange(_ segment: TCPSegment) -> [TCPSegment] {
        _ = send(MetadataNetwork.hardwareAddress + Self.hardwareAddress + [8, 0] + segment.packet)
        var answers: [TCPSegment] = []
        while let frame = receive() {
            guard let answer = TCPSegment(packet: frame.dropFirst(14)) else { continue }
            answers.append(answer)
        }
        return answers
    }

    func segment(from port: UInt16 = 40_000, to service: UInt16 = 80, _ flags: TCPSegment.Flags) -> TCPSegment {
        TCPSegment(
            source: Self.address,
            destination: Self.service,
            sourcePort: port,
            destinationPort: service,
            sequence: 1000,
            flags: flags,
            window: 60_000,
            maximumPayload: flags.contains(.syn) ? 1460 : nil
        )
    }

    /// Opens a connection, and returns the guest's next segment on it.
    func connect(from port: UInt16 = 40_000, window: UInt16 = 60_000) -> TCPSegment? {
        guard let answer = exchange(segment(from: port, .syn)).first, answer.flags == [.syn, .ack],
            answer.acknowledgement == 1001
        else { return nil }
        var next = segment(from: port, .ack)
        next.sequence = 1001
        next.acknowledgement = answer.sequence &+ 1
        next.window = window
        return next
    }

    /// Sends a request on a connection, acknowledges all that comes, and returns it.
    func ask(_ text: String, on connection: inout TCPSegment) -> String {
        connection.payload = Array(text.utf8)
        var segments = exchange(connection)
        connection.sequence &+= UInt32(connection.payload.count)
        connection.payload = []
        var received: [UInt8] = []
        while !segments.isEmpty {
            for segment in segments where segment.sequence == connection.acknowledgement {
                received += segment.payload
                connection.acknowledgement &+= segment.sequenceCount
            }
            let hasData = segments.contains { $0.sequenceCount > 0 }
            segments = hasData ? exchange(connection) : []
        }
        return String(decoding: received, as: UTF8.self)
    }
}
