// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestMemory
import Host
import SystemPackage
import TestSupport
import Testing

@Suite struct SavedMemoryTests {
    private static let regionByteCount: UInt64 = 8 << 20

    private func memory(_ file: MemoryFile? = nil) throws -> GuestMemory {
        let count = Self.regionByteCount
        let memory = try GuestMemory(regions: [
            GuestMemoryRegion(start: 0, byteCount: count), GuestMemoryRegion(start: 0x1_0000_0000, byteCount: count),
        ])
        if let file { try memory.begin(with: file) }
        return memory
    }

    private func open(_ path: String, _ mode: FileDescriptor.AccessMode = .readOnly) throws -> OwnedDescriptor {
        let options: FileDescriptor.OpenOptions = mode == .readOnly ? [.closeOnExec] : [.closeOnExec, .create]
        let file = try FileDescriptor.open(FilePath(path), mode, options: options, permissions: [.ownerReadWrite])
        return OwnedDescriptor(adopting: file.rawValue)
    }

    /// Saves `memory` and gives the file's path and the checksums.
    private func save(_ memory: GuestMemory, in folder: TemporaryFolder) throws -> (String, [UInt32]) {
        let path = "\(folder.path)/memory"
        let file = try open(path, .readWrite)
        return (path, try memory.save(to: file.borrowed).checksums)
    }

    @Test func `a save that is not wanted any more ends`() throws {
        let folder = try TemporaryFolder()
        let file = try open("\(folder.path)/memory", .readWrite)
        var answers = [true, false]
        #expect(throws: GuestMemoryError.self) {
            try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: 8 << 20)]).save(to: file.borrowed) {
                answers.removeFirst()
            }
        }
    }

    private func map(_ path: String) throws -> GuestMemory {
        try memory(MemoryFile(adopting: open(path), path: FilePath(path), byteCount: 2 * Self.regionByteCount))
    }

    /// Bytes in several places: at both ends, at a border of chunks, and two beside each other.
    private static let marks: [GuestAddress] = [
        0, 0x1000, 0x1f_fff8, 0x20_0000, 0x7f_fff8, 0x1_0000_0000, 0x1_007f_fff8,
    ]

    private func marked() throws -> GuestMemory {
        let memory = try memory()
        for mark in Self.marks { try memory.store(mark.rawValue ^ 0x5aa5_1234_5678, at: mark) }
        return memory
    }

    private func expectMarks(_ memory: GuestMemory) throws {
        for mark in Self.marks {
            #expect(try memory.load(UInt64.self, at: mark) == mark.rawValue ^ 0x5aa5_1234_5678)
        }
        #expect(try memory.load(UInt64.self, at: 0x40_0000) == 0)
        #expect(try memory.load(UInt64.self, at: 0x1_0040_0000) == 0)
    }

    @Test func `saved memory comes back, and its zeros take no room`() throws {
        let folder = try TemporaryFolder()
        let (path, _) = try save(marked(), in: folder)
        var status = stat()
        #expect(unsafe stat(path, &status) == 0)
        #expect(status.st_size == off_t(2 * Self.regionByteCount))
        #expect(status.st_blocks * 512 <= 64 << 10)
        try expectMarks(map(path))
    }

    @Test func `memory that was mapped from a file is saved as well, with what has changed`() throws {
        let folder = try TemporaryFolder()
        let (path, _) = try save(marked(), in: folder)
        let first = try map(path)
        try first.store(7 as UInt64, at: 0x30_0000)
        let second = try TemporaryFolder()
        let (copy, _) = try save(first, in: second)
        let memory = try map(copy)
        try expectMarks(memory)
        #expect(try memory.load(UInt64.self, at: 0x30_0000) == 7)
        #expect(try map(path).load(UInt64.self, at: 0x30_0000) == 0)
    }

    @Test func `the checksums are those of the file, with or without its holes`() throws {
        let folder = try TemporaryFolder()
        let (path, checksums) = try save(marked(), in: folder)
        let bytes = try FileContents.read(path)
        let chunk = Int(MemoryChecksum.chunkByteCount)
        let expected = stride(from: 0, to: bytes.count, by: chunk).map { start in
            var checksum = MemoryChecksum()
            checksum.add(Array(bytes[start..<start + chunk]))
            return checksum.value
        }
        #expect(checksums == expected)
        #expect(Set(checksums).count == 6)
        var moved = bytes[..<chunk].map { $0 }
        moved.swapAt(0, 0x2000)
        var checksum = MemoryChecksum()
        checksum.add(moved)
        #expect(checksum.value != checksums[0])
    }

    @Test func `a file of many extents becomes few mappings and the same memory`() throws {
        let folder = try TemporaryFolder()
        let memory = try memory()
        for page in stride(from: 0 as UInt64, to: Self.regionByteCount, by: 0x2000) {
            try memory.store(page + 1, at: GuestAddress(rawValue: page))
        }
        let (path, _) = try save(memory, in: folder)
        let copy = try map(path)
        for page in stride(from: 0 as UInt64, to: Self.regionByteCount, by: 0x2000) {
            #expect(try copy.load(UInt64.self, at: GuestAddress(rawValue: page)) == page + 1)
            #expect(try copy.load(UInt64.self, at: GuestAddress(rawValue: page + 0x1000)) == 0)
        }
    }

    @Test func `a file that is too short is refused`() throws {
        let folder = try TemporaryFolder()
        let path = try folder.makeSparseFile("memory", byteCount: 4096)
        #expect(throws: GuestMemoryError.endOfFile(missing: 2 * Self.regionByteCount - 4096)) { try map(path) }
    }

    @Test func `a process whose memory file is cut short says so and ends with status 1`() async throws {
        let result = await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) {
            let test = SavedMemoryTests()
            let folder = try TemporaryFolder()
            let (path, _) = try test.save(test.marked(), in: folder)
            let memory = try test.map(path)
            guard memory.truncatedFile == nil, unsafe truncate(path, 0) == 0, memory.truncatedFile != nil else {
                return
            }
            _ = try memory.load(UInt64.self, at: 0)
        }
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(message.contains("memory was cut short while a machine ran from it"))
    }
}
