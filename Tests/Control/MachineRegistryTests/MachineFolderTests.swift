// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
import MachineAPI
import MachineModel
@testable import MachineRegistry
import SystemPackage
import TestSupport
import Testing

@Suite struct MachineFolderTests {
    private let base: RegistryFolder
    private let runtime: RuntimeFolder
    private let name: MachineName

    init() throws {
        base = try RegistryFolder()
        runtime = try RuntimeFolder(path: base.path)
        name = try #require(MachineName("web"))
    }

    /// A lock of a whole open file, as a starting command and a monitor have it.
    private func lock(_ path: FilePath, start: off_t = 0) throws -> OwnedDescriptor {
        let file = try OwnedDescriptor(opening: path, O_RDWR)
        var lock = flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: start, l_len: 1, l_pid: 0)
        let setOpenFileLock: CInt = 37
        try #require(unsafe fcntl(file.rawValue, setOpenFileLock, &lock) == 0)
        return file
    }

    @Test func `a name that is taken says by which machine`() throws {
        let machine = try MachineFolder.create(name, in: runtime)
        let ended = #expect(throws: RegistryError.self) { try MachineFolder.create(name, in: runtime) }
        #expect(ended?.description.contains("'web' already, which has ended") == true)
        let lock = try lock(machine.path(.lock))
        let running = #expect(throws: RegistryError.self) { try MachineFolder.create(name, in: runtime) }
        #expect(running?.description == "there is a machine 'web' already")
        #expect(try base.names() == ["web"])
        withExtendedLifetime(lock) {}
    }

    @Test(arguments: ["file", "link"])
    func `what is no folder blocks a name in words`(kind: String) throws {
        let path = "\(base.path)/web"
        if kind == "file" { try base.write("", to: "web") } else { unsafe symlink("/tmp", path) }
        let error = #expect(throws: RegistryError.self) { try MachineFolder.create(name, in: runtime) }
        #expect(error?.description.contains("not a machine's folder; remove it by hand") == true)
        #expect(throws: RegistryError.self) { try runtime.machine(name).remove() }
        #expect(try base.names() == ["web"])
    }

    @Test func `a machine that lives is not removed, and one that has ended is`() throws {
        let machine = try MachineFolder.create(name, in: runtime)
        do {
            let lock = try lock(machine.path(.lock))
            #expect(machine.isAlive)
            let error = #expect(throws: RegistryError.self) { try machine.remove() }
            #expect(error?.description.contains("'web' runs") == true)
            withExtendedLifetime(lock) {}
        }
        #expect(!machine.isAlive)
        try machine.remove()
        #expect(try base.names() == [])
        try machine.remove()
    }

    @Test func `a folder without its lock is removable, unless the monitor holds the folder`() throws {
        let machine = try MachineFolder.create(name, in: runtime)
        unsafe unlink(machine.path(.lock).string)
        do {
            let folder = try OwnedDescriptor(opening: machine.path, O_RDONLY | O_DIRECTORY)
            try #require(flock(folder.rawValue, LOCK_EX | LOCK_NB) == 0)
            #expect(machine.isAlive)
            #expect(throws: RegistryError.self) { try machine.remove() }
        }
        #expect(!machine.isAlive)
        try machine.remove()
        #expect(try base.names() == [])
    }

    @Test func `a folder within is not removed by mistake`() throws {
        let machine = try MachineFolder.create(name, in: runtime)
        unsafe mkdir("\(machine.path)/mine", 0o700)
        try base.write("precious", to: "web/mine/file")
        let error = #expect(throws: RegistryError.self) { try machine.remove() }
        #expect(error?.description.contains("web/mine is a folder that is not Martlet's") == true)
        #expect(try base.read("web/mine/file") == "precious")
    }

    @Test func `removal does not wait for ever for another process that removes`() throws {
        let machine = try MachineFolder.create(name, in: runtime)
        let other = try lock(machine.path(.lock), start: 1)
        #expect(throws: RegistryError.self) { try machine.remove(until: .after(.milliseconds(50))) }
        withExtendedLifetime(other) {}
    }

    @Test func `the result is read after the folder was removed`() throws {
        let machine = try MachineFolder.create(name, in: runtime)
        let open = try machine.open()
        #expect(throws: RegistryError.self) { try open.result() }
        try base.write("{\"outcome\": \"exited\", \"exit_status\": 42}   \n", to: "web/result.json")
        try machine.remove()
        #expect(try open.result().exitStatus == 42)
    }

    @Test(arguments: ["", "\0\0\0\0", "{", "[]", "{\"outcome\": \"x\", \"exit_status\": 256}", "{\"outcome\": \"x\"}"])
    func `a result that is none is told`(text: String) throws {
        let machine = try MachineFolder.create(name, in: runtime)
        try base.write(text, to: "web/result.json")
        #expect(throws: RegistryError.self) { try machine.open().result() }
    }

    @Test func `a folder that has a name has a socket that listens, before there is a process`() throws {
        let (machine, hold) = try MachineFolder.make(name, in: runtime, isRemovedAtEnd: false)
        #expect(machine.isAlive)
        let client = try UnixSocket.connect(to: machine.path(.apiSocket))
        #expect(try hold.listener.accept() != nil)
        withExtendedLifetime(client) {}
    }

    // MARK: - The monitor's process

    @Test func `a process that holds the lock and is no monitor is not killed`() throws {
        let machine = try MachineFolder.create(name, in: runtime)
        // This process listens at the socket as well, as a command does that starts a machine.
        let socket = try UnixSocket.listen(at: machine.path(.apiSocket))
        let lock = try lock(machine.path(.lock))
        let open = try machine.open()
        #expect(open.isHeldByStranger(patience: .milliseconds(20)))
        let error = #expect(throws: RegistryError.self) { try open.killProcess(until: .after(.milliseconds(20))) }
        #expect(error?.description.contains("cannot be proven") == true)
        withExtendedLifetime((socket, FolderHold(lock))) {}
    }

    private final class FolderHold {
        let descriptor: OwnedDescriptor

        init(_ descriptor: consuming OwnedDescriptor) {
            self.descriptor = descriptor
        }
    }

    @Test func `a monitor is known by the lock that it took itself, and removes its folder`() throws {
        let machine = try MachineFolder.create(name, in: runtime)
        let lock = try lock(machine.path(.lock))
        let copy = fcntl(lock.rawValue, F_DUPFD_CLOEXEC, 0)
        let tenure = try MachineTenure(lock: copy, folder: machine.path)
        #expect(try !machine.open().isHeldByStranger(patience: .zero))
        try tenure.removeFolder()
        #expect(try base.names() == [])
        // Another machine's folder of the same name is not its own.
        _ = try MachineFolder.create(name, in: runtime)
        try tenure.removeFolder()
        #expect(try base.names() == ["web"])
    }

    @Test func `a monitor whose command goes before the start leaves no folder`() throws {
        let kernel = try base.write("", to: "kernel")
        var configuration = MachineConfiguration()
        configuration.bootSource = BootSource(kernelPath: kernel)
        let client: MachineClient
        let monitor: RunningProcess
        do {
            let (folder, hold) = try MachineFolder.make(name, in: runtime, isRemovedAtEnd: false)
            try base.write(configuration.json.text, to: "web/config.json")
            monitor = try MonitorProcess.start(
                in: folder,
                holding: hold,
                arguments: ["--config-file", "\(folder.path)/config.json", "--no-start", "--end-when-unused"],
                sandbox: .init(),
                isRemovedAtEnd: false
            )
            client = try MachineClient(folder)
        }
        let machine = client.machine
        try MachineClient(client.folder).request("GET", "/")
        #expect(machine.waitUntilDead(until: .after(.seconds(120))))
        #expect(monitor.takeStatus() == 0)
        #expect(try base.names() == ["kernel"])
    }

    @Test func `a descriptor that is not the folder's lock is refused`() throws {
        let machine = try MachineFolder.create(name, in: runtime)
        let other = try base.write("", to: "other")
        let file = unsafe open(other, O_RDWR | O_CLOEXEC)
        #expect(throws: RegistryError.self) { try MachineTenure(lock: file, folder: machine.path) }
        #expect(throws: RegistryError.self) { try MachineTenure(lock: 4000, folder: machine.path) }
    }
}

extension MachineFolder {
    /// Makes the folder of a machine that has no process: its locks are released.
    static func create(
        _ name: MachineName,
        in folder: RuntimeFolder,
        isRemovedAtEnd: Bool = false
    ) throws(RegistryError) -> MachineFolder {
        let (machine, hold) = try make(name, in: folder, isRemovedAtEnd: isRemovedAtEnd)
        // For a process as well that another test is about to start, and that has the descriptor until its program runs.
        hold.lock.release()
        return machine
    }
}
