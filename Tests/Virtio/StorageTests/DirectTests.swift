// SPDX-License-Identifier: Apache-2.0

import Storage
import SystemPackage
import TestSupport
import Testing

/// Direct input and output, with requests that the host's alignment does and does not allow.
@Suite struct DirectTests {
    private static let pattern = (0..<16384).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ 1) }

    struct Shape: Sendable, CustomTestStringConvertible {
        let offset: UInt64
        let cut: [Int]
        let misalignment: Int
        var testDescription: String { "\(cut) at \(offset), memory off by \(misalignment)" }
    }

    static let shapes = [
        Shape(offset: 4096, cut: [8192], misalignment: 0),
        Shape(offset: 4096, cut: [8192], misalignment: 1),
        Shape(offset: 512, cut: [512], misalignment: 0),
        Shape(offset: 4608, cut: [1024, 512], misalignment: 512),
        Shape(offset: 3584, cut: [100, 924, 4096], misalignment: 3),
        Shape(offset: 0, cut: [1536, 1536, 1024], misalignment: 0),
    ]

    @Test(arguments: StorageEngineTests.engines, shapes)
    func `any request is done, and what is beside it stays`(kind: StorageEngineKind, shape: Shape) throws {
        let fixture = try EngineFixture(kind, byteCount: 16384, isDirect: true)
        #expect(fixture.write(Self.pattern, at: 0) == nil)
        let count = shape.cut.reduce(0, +)
        let bytes = [UInt8](repeating: 0xee, count: count)
        #expect(fixture.write(bytes, at: shape.offset, cut: shape.cut, misalignment: shape.misalignment) == nil)
        var expected = Self.pattern
        expected.replaceSubrange(Int(shape.offset)..<Int(shape.offset) + count, with: bytes)
        #expect(fixture.read(16384, at: 0).bytes == expected)
        let part = fixture.read(count, at: shape.offset, cut: shape.cut, misalignment: shape.misalignment)
        #expect(part.bytes == bytes)
    }

    @Test(arguments: StorageEngineTests.engines)
    func `a request larger than the buffer goes through it in pieces`(kind: StorageEngineKind) throws {
        let fixture = try EngineFixture(kind, byteCount: 4 << 20, isDirect: true)
        let bytes = (0..<3 << 20).map { UInt8(truncatingIfNeeded: $0 >> 3) }
        #expect(fixture.write(bytes, at: 512, misalignment: 8) == nil)
        #expect(fixture.read(bytes.count, at: 512, misalignment: 16).bytes == bytes)
    }

    @Test func `a direct disk says which blocks it needs`() throws {
        let fixture = try EngineFixture(.threads, byteCount: 16384 + 100, isDirect: true)
        #expect(fixture.file.logicalBlockSize >= 512)
        #expect(fixture.file.byteCount % UInt64(fixture.file.logicalBlockSize) == 0)
    }
}
