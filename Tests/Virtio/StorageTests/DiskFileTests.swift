// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Storage
import SystemPackage
import TestSupport
import Testing

@Suite struct DiskFileTests {
    private let folder: TemporaryFolder
    private let path: FilePath

    init() throws {
        folder = try TemporaryFolder()
        path = FilePath(try folder.write([UInt8](repeating: 7, count: 5000), to: "disk"))
    }

    private func open(_ path: FilePath? = nil, readOnly: Bool = false) throws -> DiskFile {
        try DiskFile(path: path ?? self.path, isReadOnly: readOnly, isDirect: false)
    }

    // MARK: - What is a disk

    @Test func `the size is in whole sectors, none of the file is left out, and it follows the file`() throws {
        let file = try open()
        #expect(file.byteCount == 5120)
        unsafe truncate(path.string, 10240)
        #expect(file.byteCount == 10240)
    }

    @Test(arguments: [("/etc", "folder"), ("/dev/zero", "character device")])
    func `what is no disk is refused by its kind`(path: String, kind: String) {
        #expect(throws: StorageError.notADisk(FilePath(path), kind: kind)) { try open(FilePath(path)) }
    }

    @Test func `a named pipe is refused and not waited for`() throws {
        let pipe = "\(folder.path)/pipe"
        try #require(unsafe mkfifo(pipe, 0o600) == 0)
        #expect(throws: StorageError.notADisk(FilePath(pipe), kind: "named pipe")) { try open(FilePath(pipe)) }
    }

    @Test func `a file that is not there is named`() {
        let missing: FilePath = "/nowhere/disk"
        #expect(throws: StorageError.file(missing, operation: "open", .noSuchFileOrDirectory)) { try open(missing) }
    }

    // MARK: - Locks

    @Test func `one writes and nobody else has it`() throws {
        let first = try open()
        #expect(throws: StorageError.inUse(path, isReadOnly: false)) { try open() }
        #expect(throws: StorageError.inUse(path, isReadOnly: true)) { try open(readOnly: true) }
        withExtendedLifetime(first) {}
    }

    @Test func `a file shows whether a machine has it`() throws {
        #expect(!DiskFile.isInUse(path))
        for isReadOnly in [true, false] {
            let disk = try open(readOnly: isReadOnly)
            #expect(DiskFile.isInUse(path))
            withExtendedLifetime(disk) {}
        }
        // A process that another test is about to start has the descriptor until its program runs.
        try Deadline.wait(for: "the lock's end") { !DiskFile.isInUse(path) }
        #expect(!DiskFile.isInUse("/nowhere/disk"))
    }

    @Test func `many read it, and nobody writes meanwhile`() throws {
        let readers = [try open(readOnly: true), try open(readOnly: true)]
        #expect(throws: StorageError.inUse(path, isReadOnly: false)) { try open() }
        withExtendedLifetime(readers) {}
    }

    @Test func `the lock ends with the file`() throws {
        do { _ = try open() }
        // A child of this process has a copy until it runs its own program.
        try Deadline.wait(for: "the lock's end") { (try? open()) != nil }
    }

    // MARK: - Copies

    /// A sparse image: data, a large hole, data, a hole at the end.
    private func makeImage() throws -> FilePath {
        let image = "\(folder.path)/image"
        let file = unsafe Glibc.open(image, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        defer { close(file) }
        unsafe pwrite(file, "head", 4, 0)
        unsafe pwrite(file, "tail", 4, 32 << 20)
        try #require(ftruncate(file, 64 << 20) == 0)
        return FilePath(image)
    }

    private func expectCopy(at path: FilePath) throws {
        let file = unsafe Glibc.open(path.string, O_RDONLY)
        defer { close(file) }
        var status = stat()
        try #require(unsafe fstat(file, &status) == 0)
        #expect(status.st_size == 64 << 20)
        #expect(status.st_blocks * 512 < 1 << 20)
        for (offset, text) in [(0, "head"), (32 << 20, "tail"), (16 << 20, "\0\0\0\0")] {
            var bytes = [UInt8](repeating: 0xff, count: 4)
            #expect(unsafe pread(file, &bytes, 4, offset) == 4)
            #expect(bytes == Array(text.utf8))
        }
    }

    @Test func `a private copy has the same bytes and holes, and no name`() throws {
        let image = try makeImage()
        let copy = try DiskFile.privateCopy(of: image, in: FilePath(folder.path))
        try expectCopy(at: copy.path)
        let disk = try open(copy.path)
        #expect(disk.byteCount == 64 << 20)
        #expect(try folder.names().sorted() == ["disk", "image"])
    }

    @Test func `a copy with a name has the same bytes and holes, and replaces nothing`() throws {
        let image = try makeImage()
        let copy = FilePath("\(folder.path)/copy")
        try DiskFile.copy(of: image, to: copy)
        try expectCopy(at: copy)
        #expect(throws: StorageError.file(copy, operation: "create", .fileExists)) {
            try DiskFile.copy(of: image, to: copy)
        }
    }

    @Test func `a copy that is not wanted any more ends`() throws {
        let disk = try open(makeImage())
        let file = try DraftFile(in: FilePath(folder.path), staysUnnamed: true)
        var answers = [true, false]
        // A file system that shares blocks has no need to ask.
        do throws(StorageError) {
            try disk.copy(to: file.descriptor, named: "copy") { answers.removeFirst() }
        } catch {
            #expect(error == .file("copy", operation: "copy", .canceled))
        }
    }

    @Test func `a copy has no name before it is whole`() throws {
        let image = try makeImage()
        let copy = FilePath("\(folder.path)/copy")
        let file = try DraftFile(in: FilePath(folder.path))
        try file.descriptor.writeAll("whole".utf8)
        #expect(try folder.names().sorted() == ["disk", "image"])
        #expect(throws: Errno.fileExists) { try file.publish(as: image) }
        try file.publish(as: copy)
        #expect(try folder.read("copy") == Array("whole".utf8))
    }

    @Test(
        .enabled(if: Self.deviceNumber("/dev/shm") != Self.deviceNumber("/tmp"), "/dev/shm is not another file system")
    )
    func `a copy to another file system has the same bytes and holes`() throws {
        let image = try makeImage()
        let copy = try DiskFile.privateCopy(of: image, in: "/dev/shm")
        try expectCopy(at: copy.path)
    }

    private static func deviceNumber(_ path: String) -> dev_t? {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? status.st_dev : nil
    }

    @Test func `a copy of what is not there leaves nothing`() throws {
        let copy = FilePath("\(folder.path)/copy")
        #expect(throws: StorageError.self) { try DiskFile.copy(of: "/nowhere/image", to: copy) }
        #expect(try folder.names() == ["disk"])
    }
}
