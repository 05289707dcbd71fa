// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import SystemPackage

/// A Unix stream socket: one that listens, or one end of a connection.
///
/// Closed when the last reference is gone.
package final class UnixSocket: Sendable {
    private let owned: OwnedDescriptor
    /// The file that `listen` made, to know it again.
    private let file: UnixSocketFile?

    /// Takes over a connected socket.
    package init(adopting descriptor: consuming OwnedDescriptor) {
        owned = descriptor
        file = nil
    }

    private init(_ descriptor: consuming OwnedDescriptor, file: UnixSocketFile) {
        owned = descriptor
        self.file = file
    }

    /// The descriptor, which stays owned here.
    package var descriptor: FileDescriptor { owned.borrowed }

    // MARK: - Listening

    /// Listens at a path, where the socket appears when it takes connections.
    ///
    /// A socket that its server left behind is replaced. A process that may write the folder can take the path away; two
    /// servers that replace such a socket in the same moment are not told from each other.
    ///
    /// - Parameters:
    ///   - path: The path of the socket's file, of any length.
    ///   - mode: The permissions of the file, without those that the umask takes away.
    ///   - backlog: The number of connections that may wait to be accepted.
    /// - Returns: The socket, non-blocking.
    /// - Throws: `UnixSocketError`: a server listens there, or something else is there, or a call failed.
    package static func listen(
        at path: FilePath,
        mode: FilePermissions = .ownerReadWrite,
        backlog: Int = 128
    ) throws(UnixSocketError) -> UnixSocket {
        let address = try UnixAddress(path)
        let socket = try make(path)
        let raw = socket.rawValue
        // The file gets the socket's permissions. Not chmod(2) after that: no thread may call it that has a sandbox.
        _ = fchmod(raw, mode.rawValue)
        // Bound under a name of its own: clients wait for the path to appear, and then connect once.
        let draftName = ".martlet-\(String(UInt64.random(in: .min ... .max), radix: 16))"
        let draft = path.parent.appending(draftName)
        var error = unsafe try UnixAddress(draft).withSocketAddress { unsafe bind(raw, $0, $1) }
        guard error == 0, let file = UnixSocketFile(draft) else {
            throw .failed(path, operation: "bind", Errno(rawValue: error == 0 ? ENOENT : error))
        }
        var isPublished = false
        defer { if !isPublished { file.remove() } }
        guard Glibc.listen(raw, CInt(clamping: backlog)) == 0 else {
            throw .failed(path, operation: "listen", Errno(rawValue: errno))
        }
        error = file.rename(to: path)
        if error == EEXIST {
            try removeStaleFile(path, address)
            error = file.rename(to: path)
        }
        guard error == 0 else {
            throw error == EEXIST ? .inUse(path) : .failed(path, operation: "rename", Errno(rawValue: error))
        }
        isPublished = true
        return UnixSocket(socket, file: file.moved(to: path))
    }

    /// Takes over a socket that listens, or is bound, and was inherited from another process.
    ///
    /// It listens anew, so that clients that ask who listens see this process.
    ///
    /// - Parameters:
    ///   - descriptor: The socket; it becomes non-blocking and closed on exec.
    ///   - backlog: The number of connections that may wait to be accepted.
    /// - Throws: `UnixSocketError`: it is another kind of descriptor, or not bound.
    package init(adoptingListener descriptor: consuming OwnedDescriptor, backlog: Int = 128) throws(UnixSocketError) {
        owned = descriptor
        file = nil
        let raw = owned.rawValue
        guard Self.option(SO_DOMAIN, of: raw) == AF_UNIX, Self.option(SO_TYPE, of: raw) == CInt(SOCK_STREAM.rawValue)
        else { throw .notAStreamSocket }
        guard fcntl(raw, F_SETFD, FD_CLOEXEC) == 0, setBlocking(false), Glibc.listen(raw, CInt(clamping: backlog)) == 0
        else { throw .inherited(operation: "listen", Errno(rawValue: errno)) }
    }

    /// Removes the file that `listen` made, unless it is another one by now.
    package func removeFile() {
        file?.remove()
    }

    /// Takes a connection that waits.
    ///
    /// - Returns: The connection, non-blocking; nil where none waits.
    /// - Throws: `Errno`, such as `tooManyOpenFiles`.
    package func accept() throws(Errno) -> UnixSocket? {
        while true {
            let raw = chost_accept(owned.rawValue)
            if raw >= 0 {
                let socket = UnixSocket(adopting: OwnedDescriptor(adopting: raw))
                socket.setSendBuffer(byteCount: Self.sendBufferByteCount)
                return socket
            }
            switch -raw {
            case EAGAIN: return nil
            case EINTR, ECONNABORTED: continue
            default: throw Errno(rawValue: -raw)
            }
        }
    }

    // MARK: - Connections

    /// Connects to the server at a path.
    ///
    /// The path may have any length; the connection blocks. `timeout` is the time that the server may take to have room for it.
    package static func connect(
        to path: FilePath,
        timeout: Duration = .seconds(10)
    ) throws(UnixSocketError) -> UnixSocket {
        let address = try UnixAddress(path)
        let socket = UnixSocket(adopting: try make(path))
        let (seconds, attoseconds) = max(timeout, .milliseconds(1)).components
        // What bounds the connect(2) of a Unix socket; 0 would be no bound.
        socket.setSendTimeout(timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000)))
        guard socket.setBlocking(true) else { throw .failed(path, operation: "fcntl", Errno(rawValue: errno)) }
        let raw = socket.owned.rawValue
        var error = EINTR
        while error == EINTR { error = unsafe address.withSocketAddress { unsafe Glibc.connect(raw, $0, $1) } }
        socket.setSendTimeout(timeval())
        switch error {
        case 0: return socket
        case ENOENT, ECONNREFUSED: throw .nobodyListens(path)
        case EAGAIN: throw .timedOut(path)
        default: throw .failed(path, operation: "connect", Errno(rawValue: error))
        }
    }

    /// Connects to the server at a path if that has place for it now.
    package static func connectWithoutWaiting(to path: FilePath) throws(UnixSocketError) -> UnixSocket {
        let address = try UnixAddress(path)
        let socket = UnixSocket(adopting: try make(path))
        let raw = socket.owned.rawValue
        switch unsafe address.withSocketAddress({ unsafe Glibc.connect(raw, $0, $1) }) {
        case 0: return socket
        case ENOENT, ECONNREFUSED: throw .nobodyListens(path)
        case EAGAIN: throw .timedOut(path)
        case let error: throw .failed(path, operation: "connect", Errno(rawValue: error))
        }
    }

    /// The process at the other end; nil for a socket that has none.
    package var peer: PeerCredentials? {
        var (processID, userID, groupID): (pid_t, uid_t, gid_t) = (0, 0, 0)
        guard unsafe chost_peer(owned.rawValue, &processID, &userID, &groupID) == 0 else { return nil }
        return PeerCredentials(processID: processID, userID: userID, groupID: groupID)
    }

    /// Chooses whether calls wait.
    @discardableResult
    package func setBlocking(_ isBlocking: Bool) -> Bool {
        let flags = fcntl(owned.rawValue, F_GETFL)
        return flags >= 0 && fcntl(owned.rawValue, F_SETFL, isBlocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) == 0
    }

    /// Receives available bytes.
    ///
    /// - Parameter buffer: Where it goes; not empty.
    /// - Returns: The number of its bytes; 0 at the end.
    /// - Throws: `Errno`; `wouldBlock` where nothing is there and the socket does not block.
    package func receive(into buffer: inout [UInt8]) throws(Errno) -> Int {
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes {
                unsafe recv(owned.rawValue, $0.baseAddress, $0.count, 0)
            }
            if count >= 0 { return count }
            if errno != EINTR { throw Errno(rawValue: errno) }
        }
    }

    /// Sends as much as there is place for; never ends the process by SIGPIPE.
    ///
    /// - Returns: The number of bytes taken.
    /// - Throws: `Errno`; `wouldBlock` where there is no place and the socket does not block.
    package func send(_ bytes: ArraySlice<UInt8>) throws(Errno) -> Int {
        while true {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.send(owned.rawValue, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            if count >= 0 { return count }
            if errno != EINTR { throw Errno(rawValue: errno) }
        }
    }

    /// Ends the sending direction: the peer reads the end of the stream.
    package func finishSending() {
        shutdown(owned.rawValue, CInt(SHUT_WR))
    }

    // MARK: - Details

    /// The kernel memory that a client holds when it takes nothing, whatever the host's default is.
    private static let sendBufferByteCount = 128 << 10

    private func setSendBuffer(byteCount: Int) {
        var value = CInt(clamping: byteCount)
        _ = unsafe setsockopt(owned.rawValue, SOL_SOCKET, SO_SNDBUF, &value, socklen_t(MemoryLayout<CInt>.size))
    }

    private static func make(_ path: FilePath) throws(UnixSocketError) -> OwnedDescriptor {
        let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let raw = socket(AF_UNIX, type, 0)
        guard raw >= 0 else { throw .failed(path, operation: "socket", Errno(rawValue: errno)) }
        return OwnedDescriptor(adopting: raw)
    }

    /// Removes the socket of a server that has gone, if that is what is at `path`.
    package static func removeStaleFile(at path: FilePath) {
        guard let address = try? UnixAddress(path) else { return }
        try? removeStaleFile(path, address)
    }

    private static func removeStaleFile(
        _ path: FilePath,
        _ address: borrowing UnixAddress
    ) throws(UnixSocketError) {
        // No longer there: a place is free.
        guard let file = UnixSocketFile(path) else { return }
        guard file.isSocket else { throw .notASocket(path) }
        let probe = try make(path)
        let raw = probe.rawValue
        let error = unsafe address.withSocketAddress { unsafe Glibc.connect(raw, $0, $1) }
        switch error {
        case ECONNREFUSED: file.remove()
        case ENOENT: return
        // Accepted, or so many wait that there is no place: a server in any case.
        case 0, EAGAIN: throw .inUse(path)
        default: throw .failed(path, operation: "connect", Errno(rawValue: error))
        }
    }

    private static func option(_ name: CInt, of socket: CInt) -> CInt? {
        var (value, length): (CInt, socklen_t) = (0, socklen_t(MemoryLayout<CInt>.size))
        return unsafe getsockopt(socket, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }

    private func setSendTimeout(_ time: timeval) {
        var time = time
        unsafe setsockopt(owned.rawValue, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }
}

/// The process at the other end of a Unix socket, as the kernel noted it when that end connected or listened.
package struct PeerCredentials: Hashable, Sendable {
    /// 0 for a process that our PID namespace does not show.
    package let processID: Int32
    /// Its effective user.
    package let userID: UInt32
    /// Its effective group.
    package let groupID: UInt32
}
