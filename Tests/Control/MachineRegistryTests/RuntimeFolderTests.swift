// SPDX-License-Identifier: Apache-2.0

import Glibc
import MachineRegistry
import SystemPackage
import TestSupport
import Testing

@Suite struct RuntimeFolderTests {
    private let base: RegistryFolder

    init() throws {
        base = try RegistryFolder()
    }

    private func makeFolder(_ name: String, mode: mode_t = 0o700) -> FilePath {
        let path = base.path.appending(name)
        unsafe mkdir(path.string, 0o700)
        unsafe chmod(path.string, mode)
        return path
    }

    private func surroundings(
        session: FilePath? = nil,
        endsWithSession: Bool = false
    ) -> RuntimeFolder.Surroundings {
        .init(session: session, endsWithSession: endsWithSession, lasting: base.path.appending("lasting"))
    }

    @Test func `the session's folder is used, unless it goes with the session`() throws {
        let session = makeFolder("session")
        #expect(try RuntimeFolder.standard(surroundings(session: session)).path == session.appending("martlet"))
        let lasting = base.path.appending("lasting")
        #expect(try RuntimeFolder.standard(surroundings(session: session, endsWithSession: true)).path == lasting)
        #expect(try RuntimeFolder.standard(surroundings()).path == lasting)
    }

    @Test(arguments: [false, true])
    func `a folder that has machines stays the one`(endsWithSession: Bool) throws {
        let session = makeFolder("session")
        let other = endsWithSession ? session.appending("martlet") : base.path.appending("lasting")
        _ = try MachineFolder.create(try #require(MachineName("web")), in: RuntimeFolder(path: other))
        let chosen = try RuntimeFolder.standard(surroundings(session: session, endsWithSession: endsWithSession))
        #expect(chosen.path == other)
    }

    @Test func `a session's folder that others may use is not used, and that is said`() throws {
        let session = makeFolder("session", mode: 0o770)
        var notes: [String] = []
        let folder = try RuntimeFolder.standard(surroundings(session: session)) { notes.append($0) }
        #expect(folder.path == base.path.appending("lasting"))
        #expect(notes.count == 1)
        #expect(notes[0].contains(session.string))
        unsafe chmod(session.string, 0o700)
        guard unsafe chown(session.string, 65534, 65534) == 0 else { return }
        notes = []
        #expect(try RuntimeFolder.standard(surroundings(session: session)) { notes.append($0) } == folder)
        #expect(notes.count == 1)
        #expect(unsafe access(session.appending("martlet").string, F_OK) != 0)
    }

    @Test func `a folder that somebody else was first to make leaves the other one`() throws {
        let session = makeFolder("session")
        _ = makeFolder("lasting", mode: 0o777)
        let chosen = try RuntimeFolder.standard(surroundings(session: session, endsWithSession: true))
        #expect(chosen.path == session.appending("martlet"))
        #expect(throws: RegistryError.self) { try RuntimeFolder.standard(surroundings()) }
    }

    @Test func `the umask does not make a folder useless`() throws {
        let before = umask(0o177)
        defer { umask(before) }
        let folder = try RuntimeFolder(path: base.path.appending("masked"))
        let machine = try MachineFolder.create(try #require(MachineName("web")), in: folder)
        for path in [folder.path, machine.path] {
            var status = stat()
            #expect(unsafe lstat(path.string, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o700)
        }
    }

    // MARK: - Sweeping

    @Test func `a sweep removes what was left half way, and what was to go and could not`() throws {
        let folder = try RuntimeFolder(path: base.path.appending("rt"))
        for name in [".new-1-1", ".old-2"] {
            unsafe mkdir(folder.path.appending(name).string, 0o700)
            try base.write("x", to: "rt/\(name)/lock")
        }
        let kept = try MachineFolder.create(try #require(MachineName("kept")), in: folder)
        let gone = try MachineFolder.create(try #require(MachineName("gone")), in: folder, isRemovedAtEnd: true)
        try folder.sweep()
        #expect(try base.names("rt") == ["kept"])
        #expect(kept.isThere && !gone.isThere)
    }

    // MARK: - Logs

    @Test func `the logs of ended machines are cut, the oldest first, to their last words`() throws {
        let folder = try RuntimeFolder(path: base.path.appending("rt"))
        for (age, name) in ["new", "old"].enumerated() {
            _ = try MachineFolder.create(try #require(MachineName(name)), in: folder)
            try base.write(String(repeating: "a", count: 100 << 10) + "last", to: "rt/\(name)/console.log")
            try base.write(String(repeating: "b", count: 1000), to: "rt/\(name)/console.log.1")
            var times = [timespec](repeating: timespec(tv_sec: 1_000_000 - age, tv_nsec: 0), count: 2)
            unsafe utimensat(AT_FDCWD, "\(base.path)/rt/\(name)/console.log", &times, 0)
        }
        try folder.trimLogs(limit: 150 << 10)
        #expect(try base.read("rt/new/console.log").utf8.count == 100 << 10 + 4)
        #expect(try base.names("rt/new").contains("console.log.1"))
        let rest = try base.read("rt/old/console.log")
        #expect(rest.utf8.count == RuntimeFolder.logRest)
        #expect(rest.hasSuffix("last"))
        #expect(try !base.names("rt/old").contains("console.log.1"))
    }
}
