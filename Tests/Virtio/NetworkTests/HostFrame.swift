// SPDX-License-Identifier: Apache-2.0

import Glibc
import Network

/// Places in host memory for a frame, cut into pieces as a guest's buffers are, with a gap of a byte behind each.
@safe
final class HostFrame {
    private let memory: UnsafeMutableRawBufferPointer
    var vectors = FrameVectors()

    /// - Parameters:
    ///   - bytes: What is in the places.
    ///   - pieceByteCount: The size of each piece.
    init(_ bytes: [UInt8], pieceByteCount: Int = 1000) {
        let gapCount = bytes.count / pieceByteCount
        unsafe memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + gapCount + 1, alignment: 16)
        for start in stride(from: 0, to: bytes.count, by: pieceByteCount) {
            let count = min(pieceByteCount, bytes.count - start)
            let gaps = start / pieceByteCount
            let place = unsafe memory.baseAddress?.advanced(by: start + gaps)
            unsafe vectors.append(iovec(iov_base: place, iov_len: count))
        }
        unsafe bytes.withUnsafeBytes { unsafe vectors.copy($0) }
    }

    convenience init(byteCount: Int, pieceByteCount: Int = 4096) {
        self.init([UInt8](repeating: 0xee, count: byteCount), pieceByteCount: pieceByteCount)
    }

    deinit { unsafe memory.deallocate() }

    /// The first bytes of what is there now.
    func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        vectors.append(to: &bytes, from: 0, count: count)
        return bytes
    }

    /// A frame of `byteCount` bytes that no other has.
    static func bytes(_ byteCount: Int, seed: UInt8 = 1) -> [UInt8] {
        (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ Int(seed)) }
    }
}

extension NetworkBackend {
    func send(_ bytes: [UInt8], pieceByteCount: Int = 1000) -> NetworkSending {
        let frame = HostFrame(bytes, pieceByteCount: pieceByteCount)
        return send(&frame.vectors)
    }

    /// The next frame, or why there is none.
    func receive(place: Int = 65_562) -> (NetworkReceiving, [UInt8]) {
        let frame = HostFrame(byteCount: place)
        let result = receive(into: &frame.vectors)
        guard case .frame(let byteCount) = result else { return (result, []) }
        return (result, frame.bytes(byteCount))
    }
}
