// SPDX-License-Identifier: Apache-2.0

import Glibc
@testable import Network
import Testing

@Suite struct FrameVectorsTests {
    private func iovecs(_ vectors: inout FrameVectors) -> [Int] {
        var lengths: [Int] = []
        var places = unsafe [iovec](repeating: iovec(), count: 64)
        let count = unsafe vectors.withVectors { vectors, count in
            for index in 0..<count { unsafe places[index] = unsafe vectors[index] }
            return count
        }
        for index in 0..<count { lengths.append(unsafe places[index].iov_len) }
        return lengths
    }

    @Test func `places side by side are one place, and others stay apart`() {
        unsafe withUnsafeTemporaryAllocation(byteCount: 100, alignment: 1) { memory in
            var vectors = FrameVectors()
            for start in [0, 10, 20, 40, 50, 30] {
                unsafe vectors.append(iovec(iov_base: memory.baseAddress?.advanced(by: start), iov_len: 10))
            }
            #expect(vectors.byteCount == 60)
            #expect(iovecs(&vectors) == [30, 20, 10])
        }
    }

    @Test func `a part of other places is pointed to, and they stay as they are`() {
        unsafe withUnsafeTemporaryAllocation(byteCount: 100, alignment: 1) { memory in
            for index in 0..<100 { unsafe memory[index] = UInt8(index) }
            var vectors = FrameVectors()
            for start in [0, 20, 40] {
                unsafe vectors.append(iovec(iov_base: memory.baseAddress?.advanced(by: start), iov_len: 10))
            }
            var part = FrameVectors()
            part.replace(by: vectors, from: 5, count: 10)
            #expect(iovecs(&part) == [5, 5])
            var bytes: [UInt8] = []
            part.append(to: &bytes, from: 0)
            #expect(bytes == [5, 6, 7, 8, 9, 20, 21, 22, 23, 24])
            part.replace(by: vectors, from: 25, count: 100)
            #expect(part.byteCount == 5)
            #expect(vectors.byteCount == 30)
            #expect(iovecs(&vectors) == [10, 10, 10])
        }
    }

    @Test func `bytes are found in one place and across several`() {
        unsafe withUnsafeTemporaryAllocation(byteCount: 100, alignment: 1) { memory in
            for index in 0..<100 { unsafe memory[index] = UInt8(index) }
            for cuts in [[0, 40], [0, 12, 40], [0, 20, 23, 40], [0, 25, 40]] {
                var vectors = FrameVectors()
                // Apart in memory, so that each stays a place of its own.
                for (number, (start, end)) in zip(cuts, cuts.dropFirst()).enumerated() {
                    for index in start..<end { unsafe memory[index + 2 * number] = UInt8(index) }
                    let place = unsafe memory.baseAddress?.advanced(by: start + 2 * number)
                    unsafe vectors.append(iovec(iov_base: place, iov_len: end - start))
                }
                #expect(vectors.have(0x1716_1514_1312, count: 6, at: 18), "\(cuts)")
                #expect(!vectors.have(0x1816_1514_1312, count: 6, at: 18), "\(cuts)")
            }
        }
    }

    @Test func `places are added behind and taken away in front without end`() {
        unsafe withUnsafeTemporaryAllocation(byteCount: 3000, alignment: 1) { memory in
            for index in 0..<3000 { unsafe memory[index] = UInt8(truncatingIfNeeded: index / 3) }
            var vectors = FrameVectors()
            func append(_ round: Int) {
                let place = unsafe memory.baseAddress?.advanced(by: round % 1000 * 3)
                unsafe vectors.append(iovec(iov_base: place, iov_len: 2))
            }
            append(0)
            for round in 1...10_000 {
                append(round)
                vectors.removeFirst(2)
                var bytes: [UInt8] = []
                vectors.append(to: &bytes, from: 0)
                guard bytes == [UInt8](repeating: UInt8(truncatingIfNeeded: round % 1000), count: 2) else {
                    Issue.record("round \(round): \(bytes)")
                    return
                }
            }
        }
    }
}
