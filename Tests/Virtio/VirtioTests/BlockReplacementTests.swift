// SPDX-License-Identifier: Apache-2.0

import Host
import Storage
import SystemPackage
import TestSupport
import Testing
import Virtio

@Suite struct BlockReplacementTests {
    private static let old = [UInt8](repeating: 0x11, count: 512)
    private static let new = [UInt8](repeating: 0x22, count: 512)

    @Test func `another file takes the place of a disk's, and the old one has all that was written to it`() throws {
        let fixture = try BlockFixture()
        #expect(try fixture.write(Self.old, sector: 3) == .ok)
        let other = try MemoryDisk(byteCount: 32 << 10)
        try fixture.device.replace(by: DiskProperties(byteCount: 32 << 10)) { _ in other.makeEngine() }
        #expect(try fixture.read(512, sector: 3).bytes == [UInt8](repeating: 0, count: 512))
        #expect(try fixture.write(Self.new, sector: 3) == .ok)
        #expect(Array(fixture.disk.bytes[1536..<2048]) == Self.old)
        #expect(Array(other.bytes[1536..<2048]) == Self.new)
    }

    @Test func `the driver is told of the other file's size`() throws {
        let fixture = try BlockFixture()
        let other = try MemoryDisk(byteCount: 1024)
        try fixture.device.replace(by: DiskProperties(byteCount: 1024)) { _ in other.makeEngine() }
        #expect(fixture.driver.interrupt.current.configurationChanges == 1)
        #expect(fixture.configuration(UInt64.self, at: 0) == 2)
        #expect(try fixture.write(Self.new, sector: 2) == .ioError)
    }

    @Test func `where there is no engine for the other file, the disk stays as it is`() throws {
        let fixture = try BlockFixture()
        let error = StorageError.ioUringUnavailable(.noMemory)
        #expect(throws: error) {
            try fixture.device.replace(by: DiskProperties(byteCount: 512)) { _ throws(StorageError) in throw error }
        }
        #expect(fixture.driver.interrupt.current.configurationChanges == 0)
        #expect(try fixture.write(Self.old, sector: 9) == .ok)
        #expect(Array(fixture.disk.bytes[4608..<5120]) == Self.old)
    }

    @Test(arguments: [StorageEngineKind.threads, .ioUring])
    func `both engines go on with the completions of the one before`(kind: StorageEngineKind) throws {
        let folder = try TemporaryFolder()
        let first = FilePath(try folder.write(Array(repeating: 0x11, count: 64 << 10), to: "first"))
        let second = FilePath(try folder.write(Array(repeating: 0x22, count: 64 << 10), to: "second"))
        let fixture = try BlockFixture()
        // Completes what the page cache does not have.
        let loop = try EventLoop("test disk", sources: fixture.device.eventSources)
        try loop.start()
        defer { loop.stop() }
        for (path, byte) in [(first, UInt8(0x11)), (second, 0x22), (first, 0x11)] {
            let file = try DiskFile(path: path, isReadOnly: false, isDirect: false)
            try fixture.device.replace(by: DiskProperties(byteCount: file.byteCount)) { event throws(StorageError) in
                try kind.makeEngine(for: file, capacity: BlockDevice.requestCapacity, completionEvent: event)
            }
            #expect(try fixture.read(512, sector: 1).bytes == [UInt8](repeating: byte, count: 512))
        }
    }
}
