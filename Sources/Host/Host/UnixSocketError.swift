// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// The reason why a Unix socket is not available.
package enum UnixSocketError: Error, Hashable, CustomStringConvertible {
    /// A server is there already.
    case inUse(FilePath)
    /// Something else is at the path; it is left alone.
    case notASocket(FilePath)
    /// The last part of a path is too long, or there is none.
    case unusableName(FilePath)
    /// There is no socket, or one that its server left behind.
    case nobodyListens(FilePath)
    /// A server is there, and did not take the connection in time.
    case timedOut(FilePath)
    /// An inherited descriptor is no Unix stream socket.
    case notAStreamSocket
    /// A call failed.
    case failed(FilePath, operation: String, Errno)
    /// A call failed for a descriptor that was inherited.
    case inherited(operation: String, Errno)

    package var description: String {
        switch self {
        case .inUse(let path): "socket \(path) is in use: a server listens there"
        case .notASocket(let path): "\(path) exists and is not a socket"
        case .unusableName(let path): "socket '\(path)': its name must have 1 to \(UnixAddress.nameLimit) bytes"
        case .nobodyListens(let path): "socket \(path): nobody listens there"
        case .timedOut(let path): "socket \(path): its server takes no connection"
        case .notAStreamSocket: "the inherited descriptor is no Unix stream socket"
        case .failed(let path, let operation, let errno): "socket \(path): \(operation): \(errno)"
        case .inherited(let operation, let errno): "the inherited socket: \(operation): \(errno)"
        }
    }
}
