// SPDX-License-Identifier: Apache-2.0

import Glibc
import GuestMemory
import Host
import Snapshot
import SystemPackage
import TestSupport
import Testing

@Suite struct SnapshotFolderTests {
    private let folder: TemporaryFolder
    private static let memoryByteCount: UInt64 = 5 << 20

    init() throws {
        folder = try TemporaryFolder()
    }

    private var path: FilePath { FilePath(folder.path).appending("snapshot") }

    /// Everything that a save leaves beside the snapshot.
    private func leftovers() throws -> [String] { try folder.names().filter { $0.contains("partial") } }

    private func id(_ byte: UInt8) -> Base64 { Base64(Array(repeating: byte, count: 16)) }

    /// Writes a snapshot with a state, memory, and a disk.
    @discardableResult
    private func save(_ sample: Sample = Sample(), replacing: Bool = false) throws -> MemoryDescription {
        let draft = try SnapshotDraft(path, replacing: replacing)
        let memory = try GuestMemory(regions: [GuestMemoryRegion(start: 0, byteCount: Self.memoryByteCount)])
        try memory.store(sample.count, at: 0x30_0000)
        let file = try draft.makeFile(SnapshotFile.memory)
        let checksums = try memory.save(to: file.borrowed).checksums
        try draft.finishMemory(file, byteCount: memory.byteCount, id: id(UInt8(sample.count)))
        try draft.write([1, 2, 3], to: "disks/root")
        try draft.write(StateFile.text(of: sample), to: SnapshotFile.state)
        try draft.publish()
        return MemoryDescription(byteCount: memory.byteCount, checksums: checksums)
    }

    private func sample(_ name: String, _ count: Int) -> Sample {
        var sample = Sample()
        (sample.name, sample.count) = (name, count)
        return sample
    }

    @Test(arguments: ["disks/../../x", "../x", "disks/a/b", "disks/", "disks/.x", "disks", "other"])
    func `a draft makes no file under a name that no snapshot has`(name: String) throws {
        let draft = try SnapshotDraft(path, replacing: false)
        #expect(throws: SnapshotError.self) { _ = try draft.makeFile(name) }
        #expect(!draft.place.state.parent.exists)
    }

    @Test func `files of another process are regular ones that are open for what is to be done, each once`() throws {
        let file = try folder.write([], to: "file")
        func files(_ names: String..., flags: CInt) -> SnapshotFiles? {
            SnapshotFiles(PassedFiles(adopting: names.map { _ in unsafe open(file, flags | O_CLOEXEC) }), names: names)
        }
        #expect(files("state", "memory", flags: O_RDWR) != nil)
        #expect(files("base/state", flags: O_RDONLY) != nil)
        #expect(files("state", flags: O_RDONLY) == nil)
        #expect(files("state", flags: O_WRONLY) == nil)
        #expect(files("state", "state", flags: O_RDWR) == nil)
        var pipe: [CInt] = [0, 0]
        #expect(unsafe Glibc.pipe(&pipe) == 0)
        #expect(SnapshotFiles(PassedFiles(adopting: pipe), names: ["base/state", "state"]) == nil)
    }

    @Test func `what was saved is read, and only the owner can read it`() throws {
        try save()
        let snapshot = try SnapshotFolder(path)
        #expect(try snapshot.state(as: Sample.self) == Sample())
        let memory = try snapshot.memory(MemoryDescription(byteCount: Self.memoryByteCount, checksums: []), id: id(7))
        let region = try GuestMemoryRegion(start: 0, byteCount: Self.memoryByteCount)
        try region.begin(with: memory)
        #expect(try GuestMemory(regions: [region]).load(Int.self, at: 0x30_0000) == 7)
        _ = try snapshot.disk("root", byteCount: 3)
        #expect(throws: SnapshotError.self) { _ = try snapshot.disk("root", byteCount: 4) }
        #expect(try leftovers().isEmpty)
        var status = stat()
        for (name, mode) in [("", 0o700), ("state", 0o600), ("memory", 0o600), ("disks/root", 0o600)] {
            #expect(unsafe stat(path.appending(name).string, &status) == 0)
            #expect(status.st_mode & 0o777 == mode_t(mode), "\(name)")
        }
        try SnapshotRemoval.removeWhole(path)
        #expect(try folder.names() == [])
    }

    @Test func `memory is mapped where the state says that it has data, and asks the file system where that is none`()
        throws
    {
        try save()
        let snapshot = try SnapshotFolder(path)
        func value(_ data: [UInt64]?) throws -> Int {
            var description = MemoryDescription(byteCount: Self.memoryByteCount, checksums: [])
            description.data = data
            let memory = try snapshot.memory(description, id: id(7))
            let region = try GuestMemoryRegion(start: 0, byteCount: Self.memoryByteCount)
            try region.begin(with: memory)
            return try GuestMemory(regions: [region]).load(Int.self, at: 0x30_0000)
        }
        let end = Self.memoryByteCount / 4096
        #expect(try value([0x300, 0x301]) == 7)
        #expect(try value([0, 1, 0x2ff, end]) == 7)
        #expect(try value([0, 0x300]) == 0)
        // None of these is a list of parts of this file.
        for data in [nil, [0], [0x10, 0x10], [2, 1], [0, 2, 1, 3], [0, end + 1], [0, .max], Array(0..<2000)] {
            #expect(try value(data) == 7, "\(data ?? [])")
        }
        let file = try snapshot.memoryFile()
        let extents = MemoryFile.dataExtents(of: file.descriptor.borrowed, in: 0..<Self.memoryByteCount)
        let description = MemoryDescription(byteCount: Self.memoryByteCount, checksums: [], extents: extents)
        #expect(description.data == [0x300, 0x301])
    }

    @Test func `a snapshot is packed into one file and comes back as it was, holes and all`() throws {
        try save()
        let (pack, copy) = (FilePath(folder.path).appending("pack"), FilePath(folder.path).appending("copy"))
        defer { unsafe unlink(pack.string) }
        try SnapshotPack.pack(path, to: pack)
        #expect(throws: SnapshotError.self) { try SnapshotPack.pack(path, to: pack) }
        try SnapshotPack.unpack(pack, to: copy)
        for name in ["state", "memory", "disks/root"] {
            #expect(try folder.read("copy/\(name)") == folder.read("snapshot/\(name)"), "\(name)")
        }
        var (original, unpacked, packed) = (stat(), stat(), stat())
        unsafe stat(path.appending("memory").string, &original)
        unsafe stat(copy.appending("memory").string, &unpacked)
        unsafe stat(pack.string, &packed)
        #expect(unpacked.st_blocks <= original.st_blocks)
        #expect(packed.st_size < 4096 && packed.st_mode & 0o777 == 0o600)
        #expect(throws: SnapshotError.exists(copy)) { try SnapshotPack.unpack(pack, to: copy) }
        try SnapshotRemoval.removeWhole(copy)
        // Cut short, or changed anywhere: refused, and nothing is left.
        let bytes = try folder.read("pack")
        for place in stride(from: 0, to: bytes.count, by: 7) {
            var changed = bytes
            changed[place] ^= 0x10
            try folder.write(changed, to: "pack")
            do throws(SnapshotError) {
                try SnapshotPack.unpack(pack, to: copy)
                // A bit of the frame's header that decides nothing.
                #expect((try? folder.read("copy/memory")) == (try? folder.read("snapshot/memory")))
                try SnapshotRemoval.removeWhole(copy)
            } catch {
                #expect(!error.description.isEmpty)
            }
            try folder.write(Array(bytes[..<place]), to: "pack")
            #expect(throws: SnapshotError.self) { try SnapshotPack.unpack(pack, to: copy) }
        }
        #expect(try folder.names().sorted() == ["pack", "snapshot"])
        try SnapshotRemoval.removeWhole(path)
    }

    @Test func `a snapshot is replaced only where that is wanted, and then as a whole`() throws {
        try save(sample("first", 1))
        #expect(throws: SnapshotError.exists(path)) { try save(sample("second", 2)) }
        #expect(try SnapshotFolder(path).state(as: Sample.self).name == "first")
        try save(sample("second", 2), replacing: true)
        #expect(try SnapshotFolder(path).state(as: Sample.self).name == "second")
        _ = try SnapshotFolder(path).memory(
            MemoryDescription(byteCount: Self.memoryByteCount, checksums: []),
            id: id(2)
        )
        #expect(try leftovers().isEmpty)
    }

    @Test func `something else in the place of a snapshot is never replaced or removed`() throws {
        unsafe mkdir(path.string, 0o700)
        defer { unsafe rmdir(path.string) }
        let note = path.appending("note").string
        try folder.write([1], to: "snapshot/note")
        defer { unsafe unlink(note) }
        #expect(throws: SnapshotError.self) { try save(replacing: true) }
        #expect(throws: SnapshotError.self) { try SnapshotRemoval.removeWhole(path) }
        #expect(unsafe access(note, F_OK) == 0)
    }

    @Test func `a save that fails leaves what was there, and nothing else`() throws {
        try save(sample("first", 1))
        do {
            let draft = try SnapshotDraft(path, replacing: true)
            try draft.write([1], to: SnapshotFile.memory)
            #expect(try leftovers().count == 1)
        }
        #expect(try leftovers().isEmpty)
        #expect(try SnapshotFolder(path).state(as: Sample.self).name == "first")
        try SnapshotRemoval.removeWhole(path)
    }

    @Test func `a save that was killed is removed by the next one, and one that goes on is not`() throws {
        let abandoned = "\(folder.path)/snapshot.partial-abc123"
        unsafe mkdir(abandoned, 0o700)
        try folder.write([1], to: "snapshot.partial-abc123/memory")
        let other = try SnapshotDraft(path, replacing: false)
        #expect(unsafe access(abandoned, F_OK) != 0)
        try save()
        #expect(try leftovers().count == 1)
        #expect(throws: SnapshotError.exists(path)) {
            try other.write(StateFile.text(of: Sample()), to: SnapshotFile.state)
            try other.publish()
        }
        try SnapshotRemoval.removeWhole(path)
    }

    @Test func `what a link with the name of an abandoned save leads to is left alone`() throws {
        unsafe mkdir("\(folder.path)/other", 0o700)
        let memory = try folder.write([1], to: "other/memory")
        unsafe symlink("other", "\(folder.path)/snapshot.partial-abc123")
        try save()
        #expect(unsafe access(memory, F_OK) == 0)
        try SnapshotRemoval.removeWhole(path)
        unsafe unlink(memory)
    }

    @Test func `a link to a snapshot is neither replaced nor removed, nor what it leads to`() throws {
        try save(sample("first", 1))
        let link = FilePath(folder.path).appending("link")
        unsafe symlink("snapshot", link.string)
        #expect(throws: SnapshotError.self) { _ = try SnapshotDraft(link, replacing: true) }
        #expect(throws: SnapshotError.self) { try SnapshotRemoval.removeWhole(link) }
        #expect(try SnapshotFolder(link).state(as: Sample.self).name == "first")
        #expect(try folder.names().sorted() == ["link", "snapshot"])
        try SnapshotRemoval.removeWhole(path)
    }

    @Test(arguments: ["note", "disks/other"])
    func `a snapshot with a file of the user's beside its own is neither replaced nor removed`(name: String) throws {
        try save(sample("first", 1))
        let file = try folder.write([1], to: "snapshot/\(name)")
        let error = #expect(throws: SnapshotError.self) { try save(replacing: true) }
        #expect(error?.description.contains("'\(name)' in it is not one of its files") == true)
        #expect(throws: SnapshotError.self) { try SnapshotRemoval.removeWhole(path) }
        #expect(unsafe access(file, F_OK) == 0)
        #expect(try leftovers().isEmpty)
        unsafe unlink(file)
        try SnapshotRemoval.removeWhole(path)
    }

    @Test func `a folder of disks beside two files is replaced only where it is the old snapshot's`() throws {
        let place = SnapshotPlace(folder: FilePath(folder.path))
        func save(_ sample: Sample, disk: Bool) throws {
            let draft = try SnapshotDraft(files: place)
            try draft.write([1], to: SnapshotFile.memory)
            if disk { try draft.write([7], to: "disks/root") }
            try draft.write(StateFile.text(of: sample), to: SnapshotFile.state)
            try draft.publish()
        }
        var diskless = Sample()
        diskless.disks = []
        unsafe mkdir(place.disks.string, 0o700)
        let image = try folder.write([1, 2, 3], to: "disks/root")
        try save(diskless, disk: false)
        let error = #expect(throws: SnapshotError.self) { try save(Sample(), disk: true) }
        #expect(error?.description.contains("the copies of disks would replace it") == true)
        #expect(try folder.read("disks/root") == [1, 2, 3])
        unsafe unlink(image)
        unsafe rmdir(place.disks.string)
        for _ in 1...2 { try save(Sample(), disk: true) }
        #expect(try folder.read("disks/root") == [7])
        try save(diskless, disk: false)
        #expect(try folder.names().sorted() == ["memory", "state"])
    }

    @Test func `a snapshot may have a name that is no UTF-8`() throws {
        let name = String(hostBytes: [0x73, 0xe9, 0x70])
        let path = FilePath(hostText: "\(folder.path)/\(name)")
        for isReplacing in [false, true] {
            let draft = try SnapshotDraft(path, replacing: isReplacing)
            try draft.write(StateFile.text(of: Sample()), to: SnapshotFile.state)
            try draft.publish()
        }
        #expect(try folder.names() == [name])
        #expect(try SnapshotFolder(path).state(as: Sample.self) == Sample())
        try SnapshotRemoval.removeWhole(path)
        #expect(try folder.names() == [])
    }

    @Test func `a temporary snapshot goes with its owner, else with the next one`() throws {
        let parent = FilePath(folder.path)
        let abandoned = "martlet-clone-abc123"
        for part in [abandoned, "\(abandoned)/snapshot", "\(abandoned)/snapshot.partial-abc123"] {
            unsafe mkdir("\(folder.path)/\(part)", 0o700)
        }
        try folder.write([1], to: "\(abandoned)/snapshot/memory")
        try folder.write([1], to: "\(abandoned)/snapshot.partial-abc123/memory")
        do {
            let one = try TemporarySnapshot(in: parent)
            #expect(try folder.names() == [one.path.removingLastComponent().lastComponent?.string])
            let other = try TemporarySnapshot(in: parent)
            #expect(try folder.names().count == 2)
            let draft = try SnapshotDraft(one.path, replacing: false)
            try draft.write(StateFile.text(of: Sample()), to: SnapshotFile.state)
            try draft.publish()
            other.remove()
            #expect(try folder.names().count == 1)
        }
        // A child that another test is about to start has all locks until its exec: then the next one removes it.
        try Deadline.wait(for: "the last one to go") {
            _ = try TemporarySnapshot(in: parent)
            return try folder.names() == []
        }
    }

    @Test func `the memory of another snapshot and a part of it are refused`() throws {
        try save(sample("first", 1))
        let snapshot = try SnapshotFolder(path)
        #expect(throws: SnapshotError.self) {
            try snapshot.memory(MemoryDescription(byteCount: Self.memoryByteCount, checksums: []), id: id(2))
        }
        #expect(throws: SnapshotError.self) {
            try snapshot.memory(MemoryDescription(byteCount: Self.memoryByteCount - 4096, checksums: []), id: id(1))
        }
        #expect(throws: SnapshotError.self) {
            try snapshot.memory(MemoryDescription(byteCount: .max, checksums: []), id: id(1))
        }
        #expect(unsafe truncate(path.appending("memory").string, 4096) == 0)
        #expect(throws: SnapshotError.self) {
            try snapshot.memory(MemoryDescription(byteCount: Self.memoryByteCount, checksums: []), id: id(1))
        }
        try SnapshotRemoval.removeWhole(path)
    }

    @Test func `links, pipes and missing files are refused, and nothing outside is opened`() throws {
        try save()
        let outside = try folder.write(StateFile.text(of: Sample()), to: "outside")
        defer { unsafe unlink(outside) }
        let state = path.appending("state").string
        let memory = path.appending("memory").string
        let snapshot = try SnapshotFolder(path)
        unsafe unlink(memory)
        #expect(throws: SnapshotError.self) {
            try snapshot.memory(MemoryDescription(byteCount: Self.memoryByteCount, checksums: []), id: id(7))
        }
        unsafe symlink(outside, memory)
        #expect(throws: SnapshotError.damaged(path.appending("memory"), reason: "it is a symbolic link")) {
            try snapshot.memory(MemoryDescription(byteCount: Self.memoryByteCount, checksums: []), id: id(7))
        }
        unsafe unlink(state)
        unsafe mkfifo(state, 0o600)
        #expect(throws: SnapshotError.damaged(path.appending("state"), reason: "it is not a regular file")) {
            try snapshot.state(as: Sample.self)
        }
        #expect(throws: SnapshotError.self) { _ = try snapshot.disk("../state", byteCount: 3) }
        unsafe unlink(path.appending("disks/root").string)
        unsafe rmdir(path.appending("disks").string)
        unsafe symlink(folder.path, path.appending("disks").string)
        #expect(throws: SnapshotError.self) { _ = try snapshot.disk("outside", byteCount: 3) }
        for name in ["disks", "memory", "state"] { unsafe unlink(path.appending(name).string) }
        unsafe rmdir(path.string)
    }

    @Test func `a changed byte of memory is found in its 2 MiB`() throws {
        let description = try save()
        let file = try SnapshotFolder(path).memory(
            MemoryDescription(byteCount: Self.memoryByteCount, checksums: []),
            id: id(7)
        )
        #expect(try description.damage(in: file) == [])
        let descriptor = unsafe open(path.appending("memory").string, O_WRONLY)
        #expect(unsafe pwrite(descriptor, "x", 1, 0x45_0001) == 1)
        close(descriptor)
        #expect(try description.damage(in: file) == [0x40_0000..<0x50_0000])
        try SnapshotRemoval.removeWhole(path)
    }
}
