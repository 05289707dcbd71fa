// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Host
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite struct UnixSocketTests {
    private let folder: TemporaryFolder
    private let path: FilePath

    init() throws {
        folder = try TemporaryFolder()
        path = FilePath("\(folder.path)/api.socket")
    }

    private func mode(_ path: FilePath) -> mode_t? {
        var status = stat()
        return unsafe lstat(path.string, &status) == 0 ? status.st_mode : nil
    }

    @Test func `a socket has the permissions that are asked for, and else only the owner may connect`() throws {
        let socket = try UnixSocket.listen(at: path)
        #expect(mode(path) == S_IFSOCK | 0o600)
        let other = FilePath("\(folder.path)/other")
        let open = try UnixSocket.listen(at: other, mode: .ownerReadWriteExecute)
        #expect(mode(other) == S_IFSOCK | 0o700)
        _ = (socket, open)
    }

    @Test func `both ends know who is there`() throws {
        let listener = try UnixSocket.listen(at: path)
        let none = try listener.accept()
        #expect(none == nil)
        let client = try UnixSocket.connect(to: path)
        let server = try #require(try listener.accept())
        for peer in [client.peer, server.peer] {
            #expect(peer?.processID == getpid())
            #expect(peer?.userID == getuid())
            #expect(peer?.groupID == getgid())
        }
    }

    @Test func `all connections together keep no more files of their clients' than a few requests need`() async {
        await #expect(processExitsWith: .success) {
            var pair: [CInt] = [0, 0]
            #expect(unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair) == 0)
            let (client, server) = (pair[0], pair[1])
            let sender = UnixSocket(adopting: OwnedDescriptor(adopting: client))
            let receiver = UnixSocket(adopting: OwnedDescriptor(adopting: server))
            let files = [FileDescriptor](repeating: .standardError, count: PassedFiles.limit)
            var buffer = [UInt8](repeating: 0, count: 16)
            var kept: [PassedFiles?] = []
            for _ in 0..<4 {
                _ = try sender.send([1], with: files)
                kept.append(try receiver.receiveWithFiles(into: &buffer).files)
            }
            #expect(kept.allSatisfy { $0?.descriptors.count == files.count })
            _ = try sender.send([1], with: files)
            #expect(throws: Errno.tooManyOpenFiles) { try receiver.receiveWithFiles(into: &buffer) }
            kept = []
            _ = try sender.send([1], with: files)
            #expect(try receiver.receiveWithFiles(into: &buffer).files != nil)
        }
    }

    @Test func `a socket that can be seen takes connections`() throws {
        let refused = Atomic<Int>(0)
        for round in 0..<200 {
            let path = FilePath("\(folder.path)/\(round)")
            let connector = DispatchGroup()
            // A client that waits for the path and then connects once.
            DispatchQueue(label: "test.connector").async(group: connector) {
                while unsafe access(path.string, F_OK) != 0 {}
                if (try? UnixSocket.connect(to: path)) == nil { refused.add(1, ordering: .relaxed) }
            }
            let socket = try UnixSocket.listen(at: path)
            connector.wait()
            withExtendedLifetime(socket) {}
        }
        #expect(refused.load(ordering: .relaxed) == 0)
    }

    @Test func `a listener that fails leaves no file`() throws {
        try folder.write([1], to: "api.socket")
        #expect(throws: UnixSocketError.notASocket(path)) { try UnixSocket.listen(at: path) }
        #expect(try folder.names() == ["api.socket"])
    }

    @Test func `descriptors are closed on exec`() throws {
        let listener = try UnixSocket.listen(at: path)
        let client = try UnixSocket.connect(to: path)
        let server = try #require(try listener.accept())
        for socket in [listener, client, server] {
            #expect(fcntl(socket.descriptor.rawValue, F_GETFD) == FD_CLOEXEC)
        }
    }

    @Test func `a path where a server listens is refused`() throws {
        let socket = try UnixSocket.listen(at: path)
        #expect(throws: UnixSocketError.inUse(path)) { try UnixSocket.listen(at: path) }
        // Also where no connection has place any more.
        let full = FilePath("\(folder.path)/full")
        let busy = try UnixSocket.listen(at: full, backlog: 0)
        let client = try UnixSocket.connect(to: full)
        #expect(throws: UnixSocketError.inUse(full)) { try UnixSocket.listen(at: full) }
        #expect(throws: UnixSocketError.timedOut(full)) {
            try UnixSocket.connect(to: full, timeout: .milliseconds(10))
        }
        _ = (socket, busy, client)
    }

    @Test func `a socket that its server left behind is replaced`() throws {
        _ = try UnixSocket.listen(at: path)
        try Descriptors.waitUntilNone(to: path.string)
        #expect(mode(path) != nil)
        #expect(throws: UnixSocketError.nobodyListens(path)) { try UnixSocket.connect(to: path) }
        let socket = try UnixSocket.listen(at: path)
        _ = try UnixSocket.connect(to: path)
        _ = socket
    }

    @Test func `what is no socket is left alone`() throws {
        try folder.write([1, 2, 3], to: "api.socket")
        #expect(throws: UnixSocketError.notASocket(path)) { try UnixSocket.listen(at: path) }
        #expect(try folder.read("api.socket") == [1, 2, 3])
        // Not even what a link points to.
        let link = FilePath("\(folder.path)/link")
        #expect(unsafe symlink("nowhere", link.string) == 0)
        #expect(throws: UnixSocketError.notASocket(link)) { try UnixSocket.listen(at: link) }
    }

    @Test func `a socket removes its own file only`() throws {
        let first = try UnixSocket.listen(at: path)
        first.removeFile()
        #expect(mode(path) == nil)
        let second = try UnixSocket.listen(at: path)
        first.removeFile()
        #expect(mode(path) != nil)
        second.removeFile()
        #expect(mode(path) == nil)
    }

    @Test func `a long path works as a short one`() throws {
        var names: [String] = []
        var deep = FilePath(folder.path)
        for _ in 0..<5 {
            deep.append(String(repeating: "d", count: 100))
            names.append(deep.string)
            #expect(unsafe mkdir(deep.string, 0o700) == 0)
        }
        defer {
            unsafe unlink(deep.string + "/s")
            for name in names.reversed() { unsafe rmdir(name) }
        }
        let long = deep.appending("s")
        do {
            let listener = try UnixSocket.listen(at: long)
            #expect(mode(long) == S_IFSOCK | 0o600)
            _ = try UnixSocket.connect(to: long)
            #expect(try listener.accept() != nil)
            #expect(throws: UnixSocketError.inUse(long)) { try UnixSocket.listen(at: long) }
        }
        // A child of this process has a copy until it runs its own program, and the kernel tells only how it was bound.
        try Deadline.wait(for: "the listener's end") {
            do throws(UnixSocketError) {
                _ = try UnixSocket.connect(to: long)
                return false
            } catch {
                return error == .nobodyListens(long)
            }
        }
        let again = try UnixSocket.listen(at: long)
        _ = try UnixSocket.connect(to: long)
        again.removeFile()
        #expect(throws: UnixSocketError.nobodyListens(long)) { try UnixSocket.connect(to: long) }
        let name = deep.appending(String(repeating: "s", count: 83))
        #expect(throws: UnixSocketError.unusableName(name)) { try UnixSocket.listen(at: name) }
    }

    @Test func `a name need not be UTF-8`() throws {
        let odd = unsafe (Array(path.string.utf8CString.dropLast()) + [-1, 0]).withUnsafeBufferPointer {
            unsafe $0.baseAddress.map { unsafe FilePath(platformString: $0) }
        }
        let listener = try UnixSocket.listen(at: try #require(odd))
        #expect(mode(path) == nil)
        _ = try UnixSocket.connect(to: try #require(odd))
        listener.removeFile()
        #expect(try folder.names() == [])
    }

    @Test func `errors tell the path and the reason`() {
        let absent = FilePath("\(folder.path)/absent/socket")
        let error = #expect(throws: UnixSocketError.self) { try UnixSocket.listen(at: absent) }
        #expect(error?.description == "socket \(absent): bind: No such file or directory")
        #expect(throws: UnixSocketError.unusableName("")) { try UnixSocket.listen(at: "") }
        #expect(throws: UnixSocketError.unusableName("/")) { try UnixSocket.listen(at: "/") }
    }

    @Test func `a listener that was inherited serves as one that was made here`() throws {
        let made = try UnixSocket.listen(at: path)
        let copy = dup(made.descriptor.rawValue)
        let adopted = try UnixSocket(adoptingListener: OwnedDescriptor(adopting: copy))
        #expect(fcntl(copy, F_GETFD) == FD_CLOEXEC)
        let client = try UnixSocket.connect(to: path)
        #expect(try adopted.accept() != nil)
        #expect(client.peer?.processID == getpid())
    }

    @Test func `what is no listener is not adopted`() throws {
        let file = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        #expect(throws: UnixSocketError.notAStreamSocket) {
            try UnixSocket(adoptingListener: OwnedDescriptor(adopting: file))
        }
        let network = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        #expect(throws: UnixSocketError.notAStreamSocket) {
            try UnixSocket(adoptingListener: OwnedDescriptor(adopting: network))
        }
        let unbound = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        #expect(throws: UnixSocketError.inherited(operation: "listen", .invalidArgument)) {
            try UnixSocket(adoptingListener: OwnedDescriptor(adopting: unbound))
        }
    }
}
