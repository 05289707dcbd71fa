// SPDX-License-Identifier: Apache-2.0

import Glibc
import Network

/// Places in host memory for a frame, cut into pieces as a guest's buffers are.
@safe
final class HostFrame {
    private let memory: UnsafeMutableRawBufferPointer
    var vectors = FrameVectors()

    /// - Parameters:
    ///   - bytes: What is in the places.
    ///   - pieceByteCount: The size of each piece.
    init(_ bytes: [UInt8], pieceByteCount: Int = 1000) {
        unsafe memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 16)
        unsafe memory.copyBytes(from: bytes)
        fill(bytes.count, pieceByteCount)
    }

    convenience init(byteCount: Int, pieceByteCount: Int = 4096) {
        self.init([UInt8](repeating: 0xee, count: byteCount), pieceByteCount: pieceByteCount)
    }

    deinit { unsafe memory.deallocate() }

    private func fill(_ byteCount: Int, _ pieceByteCount: Int) {
        for start in stride(from: 0, to: byteCount, by: pieceByteCount) {
            let count = min(pieceByteCount, byteCount - start)
            let vector = unsafe iovec(iov_base: memory.baseAddress?.advanced(by: start), iov_len: count)
            unsafe vectors.append(byteCount: count) { unsafe $0.append(vector) }
        }
    }

    /// The first bytes of what is there now.
    func bytes(_ count: Int) -> [UInt8] { unsafe Array(memory.prefix(count)) }

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
