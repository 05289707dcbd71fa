// SPDX-License-Identifier: Apache-2.0

import MachineModel

/// A TCP segment in an IPv4 packet, reduced to the needs of the metadata service (RFC 791, RFC 9293).
struct TCPSegment: Equatable {
    /// The control bits.
    struct Flags: OptionSet, Hashable {
        let rawValue: UInt8

        static let fin = Self(rawValue: 1)
        static let syn = Self(rawValue: 2)
        static let rst = Self(rawValue: 4)
        static let psh = Self(rawValue: 8)
        static let ack = Self(rawValue: 16)
    }

    /// The size of an IPv4 header and of a TCP header, each without options.
    static let headerByteCount = 20

    var source: IPv4Address
    var destination: IPv4Address
    var sourcePort: UInt16
    var destinationPort: UInt16
    var sequence: UInt32
    var acknowledgement: UInt32 = 0
    var flags: Flags
    var window: UInt16 = 0
    /// The largest payload that the sender takes; only with `.syn`.
    var maximumPayload: UInt16?
    var payload: [UInt8] = []
}

extension TCPSegment {
    /// Reads a packet; `nil` for a fragment, and for anything but a TCP segment.
    ///
    /// Checksums are not looked at: a guest leaves them to its network device, which is this process.
    ///
    /// - Parameter packet: The bytes after the Ethernet header, padding included.
    init?(packet: ArraySlice<UInt8>) {
        let ip = ByteReader(packet)
        guard let version = ip.byte(at: 0), version >> 4 == 4, let total = ip.word(at: 2).map(Int.init),
            let fragment = ip.word(at: 6), fragment & 0x3fff == 0, ip.byte(at: 9) == 6,
            let source = ip.long(at: 12), let destination = ip.long(at: 16)
        else { return nil }
        let ipHeader = Int(version & 0xf) * 4
        guard ipHeader >= Self.headerByteCount, ipHeader <= total, total <= packet.count else { return nil }
        let body = packet.dropFirst(ipHeader).prefix(total - ipHeader)
        let tcp = ByteReader(body)
        guard let sourcePort = tcp.word(at: 0), let destinationPort = tcp.word(at: 2), let sequence = tcp.long(at: 4),
            let acknowledgement = tcp.long(at: 8), let offset = tcp.byte(at: 12), let flags = tcp.byte(at: 13),
            let window = tcp.word(at: 14)
        else { return nil }
        let tcpHeader = Int(offset >> 4) * 4
        guard tcpHeader >= Self.headerByteCount, tcpHeader <= body.count else { return nil }
        self.init(
            source: IPv4Address(rawValue: source),
            destination: IPv4Address(rawValue: destination),
            sourcePort: sourcePort,
            destinationPort: destinationPort,
            sequence: sequence,
            acknowledgement: acknowledgement,
            flags: Flags(rawValue: flags & 0x1f),
            window: window,
            maximumPayload: Self.maximumPayload(in: body.prefix(tcpHeader).dropFirst(Self.headerByteCount)),
            payload: Array(body.dropFirst(tcpHeader))
        )
    }

    /// The maximum segment size of a header's options.
    private static func maximumPayload(in options: ArraySlice<UInt8>) -> UInt16? {
        var rest = options
        while let kind = rest.popFirst(), kind != 0 {
            if kind == 1 { continue }
            guard let length = rest.popFirst(), length >= 2, rest.count >= Int(length) - 2 else { return nil }
            let value = rest.prefix(Int(length) - 2)
            rest = rest.dropFirst(Int(length) - 2)
            if kind == 2, value.count == 2 { return ByteReader(value).word(at: 0) }
        }
        return nil
    }

    /// The packet, with its checksums.
    var packet: [UInt8] {
        var tcp = sourcePort.networkBytes + destinationPort.networkBytes
        tcp += sequence.networkBytes + acknowledgement.networkBytes
        let options = maximumPayload.map { [2, 4] + $0.networkBytes } ?? []
        tcp += [UInt8((Self.headerByteCount + options.count) / 4) << 4, flags.rawValue] + window.networkBytes
        tcp += [0, 0, 0, 0] + options + payload
        let addresses = source.bytes + destination.bytes
        let pseudoHeader = addresses + [0, 6] + UInt16(truncatingIfNeeded: tcp.count).networkBytes
        tcp.replaceSubrange(16..<18, with: InternetChecksum.of(pseudoHeader + tcp).networkBytes)
        let total = UInt16(truncatingIfNeeded: Self.headerByteCount + tcp.count)
        var ip: [UInt8] = [0x45, 0] + total.networkBytes + [0, 0, 0x40, 0, 64, 6, 0, 0] + addresses
        ip.replaceSubrange(10..<12, with: InternetChecksum.of(ip).networkBytes)
        return ip + tcp
    }

    /// The place that the segment takes in the sequence of bytes: its payload, and one each for the first and the last bit.
    var sequenceCount: UInt32 {
        UInt32(payload.count) + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0)
    }
}

/// The checksum of IP and TCP (RFC 1071).
enum InternetChecksum {
    static func of(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(truncatingIfNeeded: sum)
    }
}

/// Reads big-endian numbers of bytes that may be too few.
struct ByteReader {
    private let bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    func byte(at offset: Int) -> UInt8? { offset < bytes.count ? bytes[bytes.startIndex + offset] : nil }

    func word(at offset: Int) -> UInt16? {
        guard let low = byte(at: offset + 1), let high = byte(at: offset) else { return nil }
        return UInt16(high) << 8 | UInt16(low)
    }

    func long(at offset: Int) -> UInt32? {
        guard let low = word(at: offset + 2), let high = word(at: offset) else { return nil }
        return UInt32(high) << 16 | UInt32(low)
    }
}

extension FixedWidthInteger {
    /// The bytes of the number, the most significant first.
    var networkBytes: [UInt8] { unsafe withUnsafeBytes(of: bigEndian) { unsafe Array($0) } }
}
