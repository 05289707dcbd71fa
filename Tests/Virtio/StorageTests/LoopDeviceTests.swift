// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Host
import Storage
import SystemPackage
import TestSupport
import Testing

/// Block devices, by the one kind that can be made: loop devices, which only root may.
@Suite(.serialized, .enabled(if: getuid() == 0, "only root makes loop devices"))
struct LoopDeviceTests {
    /// A loop device in front of a temporary file.
    private final class LoopDevice {
        let path: String
        let file: String
        private let folder: TemporaryFolder

        init(byteCount: Int, options: String = "") throws {
            folder = try TemporaryFolder()
            file = "\(folder.path)/file"
            try folder.write([UInt8](repeating: 1, count: byteCount), to: "file")
            let list = "\(folder.path)/name"
            let arguments = ["-c", "losetup \(options) --find --show '\(file)' > '\(list)'"]
            let end = try ChildProcess("/bin/sh", arguments, descriptors: [.null, .null, .null]).wait()
            try #require(end == .exited(0))
            path = String(decoding: try folder.read("name").dropLast(), as: UTF8.self)
        }

        deinit {
            _ = try? ChildProcess("/sbin/losetup", ["-d", path], descriptors: [.null, .null, .null]).wait()
        }
    }

    private func perform(_ engine: any StorageEngine, _ fixture: EngineFixture, _ operation: StorageRequest.Operation)
        -> Errno?
    {
        let request = fixture.request(operation, offset: 0, vectors: [4096])
        engine.submit(request)
        engine.waitForCompletion()
        return engine.takeCompletion()?.error
    }

    @Test(arguments: StorageEngineTests.engines, [false, true])
    func `a block device is a disk, until the file behind it is gone`(kind: StorageEngineKind, isDirect: Bool) throws {
        let device = try LoopDevice(byteCount: 1 << 20)
        let fixture = try EngineFixture(kind, byteCount: 4096)
        let disk = try DiskFile(path: FilePath(device.path), isReadOnly: false, isDirect: isDirect)
        #expect(disk.byteCount == 1 << 20)
        #expect(disk.logicalBlockSize == 512)
        let engine = try kind.makeEngine(for: disk, capacity: 4)
        #expect(perform(engine, fixture, .write(isDurable: true)) == nil)
        #expect(perform(engine, fixture, .read) == nil)
        try #require(unsafe truncate(device.file, 0) == 0)
        // What the page cache still has of it may be read; durable writes reach the file that is no more.
        let error = perform(engine, fixture, isDirect ? .read : .write(isDurable: true))
        if isDirect { #expect(error == .ioError) }
        #expect(engine.inFlightCount == 0)
    }

    @Test(.enabled(if: Sandbox.hasFilters, "a sanitizer makes calls of its own"))
    func `a request may give a disk a block device`() async {
        await #expect(processExitsWith: .success) {
            let device = try LoopDevice(byteCount: 1 << 20)
            let path = FilePath(device.path)
            try callInSandbox(as: CInt(CHOST_CONTROL)) {
                let disk = try? DiskFile(path: path, isReadOnly: false, isDirect: false)
                if disk?.byteCount != 1 << 20 { _exit(1) }
            }
        }
    }

    @Test func `a block device that is read-only is a disk for reading only`() throws {
        let device = try LoopDevice(byteCount: 4096, options: "--read-only")
        let path = FilePath(device.path)
        let error = #expect(throws: StorageError.self) {
            try DiskFile(path: path, isReadOnly: false, isDirect: false)
        }
        #expect(error?.description.contains("',readonly'") == true)
        #expect(try DiskFile(path: path, isReadOnly: true, isDirect: false).byteCount == 4096)
    }

    @Test func `two machines cannot write one block device`() throws {
        let device = try LoopDevice(byteCount: 4096)
        let path = FilePath(device.path)
        let first = try DiskFile(path: path, isReadOnly: false, isDirect: false)
        #expect(throws: StorageError.inUse(path, isReadOnly: true)) {
            try DiskFile(path: path, isReadOnly: true, isDirect: false)
        }
        withExtendedLifetime(first) {}
    }
}
