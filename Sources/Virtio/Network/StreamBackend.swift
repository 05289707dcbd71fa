// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Host
package import SystemPackage

/// A stream socket on which each frame follows its length, 4 bytes with the most significant first: of passt, QEMU's
/// `-netdev stream` and gvproxy.
///
/// Small frames are gathered, so that those of a turn take one call. They and the rest of a frame of which the socket took only a
/// part are kept here until they are sent, so a reset of the device never truncates one: everything after it would be garbage to the reader.
package final class StreamBackend: NetworkBackend {
    private static let lengthByteCount = 4
    /// The largest frame that is gathered: to copy a larger one costs about as much as a call.
    private static let smallByteCount = 2048
    /// The room for gathered frames.
    private static let gatheredMaximum = 16 << 10

    private let owned: OwnedDescriptor
    private let name: String
    /// Bytes to send before any other frame: small frames that were gathered, or the rest of a large one.
    private var unsent: [UInt8] = []
    private var unsentStart = 0
    private var received: ReceiveBuffer
    /// Nothing makes sense any more after that.
    private var end: NetworkError?

    package let hasOffloadHeader = false

    /// - Parameters:
    ///   - descriptor: A connected stream socket; each call says that it does not wait.
    ///   - name: What messages call it.
    package init(adopting descriptor: consuming OwnedDescriptor, name: String) {
        owned = descriptor
        self.name = name
        received = ReceiveBuffer(byteCount: 2 * (Self.lengthByteCount + NetworkFrame.maximumByteCount))
    }

    package var descriptor: FileDescriptor { owned.borrowed }

    package func setOffloads(_ offloads: NetworkOffloads) {}

    // MARK: - Sending

    package func send(_ frame: inout FrameVectors) -> NetworkSending {
        let byteCount = frame.byteCount
        guard byteCount <= NetworkFrame.maximumByteCount else { return .dropped(.messageTooLong) }
        if let end { return .closed(end) }
        var length = UInt32(byteCount).bigEndian
        let isSmall = byteCount <= Self.smallByteCount
        if !isSmall || unsent.count + Self.lengthByteCount + byteCount > Self.gatheredMaximum {
            let before = flush()
            guard before == .sent else { return before }
        }
        if isSmall {
            unsafe withUnsafeBytes(of: length) { unsafe unsent.append(contentsOf: $0) }
            frame.append(to: &unsent, from: 0)
            return .sent
        }
        let count = unsafe withUnsafeMutableBytes(of: &length) { bytes in
            let prefix = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
            return unsafe frame.withVectors(prefixed: prefix) { unsafe SocketCalls.send(owned.rawValue, $0, $1) }
        }
        guard count >= 0 else { return failure(-count, "send") }
        guard count < Self.lengthByteCount + byteCount else { return .sent }
        unsafe withUnsafeBytes(of: length) { unsafe unsent.append(contentsOf: $0.dropFirst(count)) }
        frame.append(to: &unsent, from: max(0, count - Self.lengthByteCount))
        return .sent
    }

    package func flush() -> NetworkSending {
        guard !unsent.isEmpty else { return .sent }
        while unsentStart < unsent.count {
            let count = unsafe unsent.withUnsafeMutableBytes { bytes in
                var vector = unsafe iovec(
                    iov_base: bytes.baseAddress?.advanced(by: unsentStart),
                    iov_len: bytes.count - unsentStart
                )
                return unsafe SocketCalls.send(owned.rawValue, &vector, 1)
            }
            guard count >= 0 else { return failure(-count, "send") }
            unsentStart += count
        }
        unsent.removeAll(keepingCapacity: true)
        unsentStart = 0
        return .sent
    }

    private func failure(_ error: Int, _ operation: String) -> NetworkSending {
        switch error {
        case Int(EAGAIN): return .full
        case Int(EPIPE), Int(ECONNRESET), Int(ENOTCONN): return .closed(closed(.peerClosed(name)))
        case Int(ENOBUFS), Int(ENOMEM): return .full
        default: return .closed(closed(.failed(name, operation: operation, Errno(rawValue: CInt(error)))))
        }
    }

    private func closed(_ reason: NetworkError) -> NetworkError {
        let first = end ?? reason
        end = first
        unsent.removeAll()
        unsentStart = 0
        return first
    }

    // MARK: - Receiving

    package func receive(into frame: inout FrameVectors) -> NetworkReceiving {
        while true {
            if let length = received.nextLength {
                let count = Int(length)
                // The reader has lost its place, or the writer does not speak this protocol: the next frame cannot be found.
                guard 1...NetworkFrame.maximumByteCount ~= count else {
                    return .closed(closed(.badFrameLength(name, length)))
                }
                if received.count >= Self.lengthByteCount + count {
                    let fits =
                        NetworkFrame.minimumByteCount...max(NetworkFrame.minimumByteCount, frame.byteCount) ~= count
                    if fits { unsafe frame.copy(received.bytes(from: Self.lengthByteCount, count: count)) }
                    received.removeFirst(Self.lengthByteCount + count)
                    return fits ? .frame(byteCount: count) : .dropped
                }
            }
            if let end { return .closed(end) }
            let count = unsafe received.fill { vector in unsafe SocketCalls.receive(owned.rawValue, &vector, 1) }
            switch count {
            case 1...: continue
            case 0: return .closed(closed(.peerClosed(name)))
            case -Int(EAGAIN): return .empty
            default:
                if case .closed(let error) = failure(-count, "receive") { return .closed(error) }
                return .empty
            }
        }
    }
}

/// The bytes that have come over a stream and were not taken yet.
@safe
private struct ReceiveBuffer: ~Copyable {
    // Owned by this value alone, and freed with it.
    private let memory: UnsafeMutableRawBufferPointer
    private var start = 0
    private(set) var count = 0

    init(byteCount: Int) {
        // Not an array: pages that no frame has reached cost nothing.
        unsafe memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
    }

    deinit { unsafe memory.deallocate() }

    /// The first 4 bytes, where they are there.
    var nextLength: UInt32? {
        guard count >= 4 else { return nil }
        return unsafe UInt32(bigEndian: memory.loadUnaligned(fromByteOffset: start, as: UInt32.self))
    }

    @unsafe
    func bytes(from offset: Int, count: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: memory[start + offset..<start + offset + count])
    }

    mutating func removeFirst(_ removed: Int) {
        count -= removed
        start = count == 0 ? 0 : start + removed
    }

    /// Receives bytes after those that are there.
    ///
    /// - Parameter receive: Fills a place, and gives the number of bytes or a negative errno.
    /// - Returns: The result of `receive`.
    @unsafe
    mutating func fill(_ receive: (inout iovec) -> Int) -> Int {
        if start > 0, unsafe start + count > memory.count / 2, let base = unsafe memory.baseAddress {
            unsafe base.copyMemory(from: base + start, byteCount: count)
            start = 0
        }
        var vector = unsafe iovec(
            iov_base: memory.baseAddress?.advanced(by: start + count),
            iov_len: memory.count - start - count
        )
        let received = unsafe receive(&vector)
        if received > 0 { count += received }
        return received
    }
}
