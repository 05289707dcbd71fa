// SPDX-License-Identifier: Apache-2.0

package import CHost
package import Glibc
package import SystemPackage

/// The address of a path, however long the path is.
///
/// An address has place for 107 bytes. What lies in a folder whose path is longer is reached through a descriptor of the
/// folder, by `/proc/self/fd`.
package struct UnixAddress: ~Copyable {
    /// The longest name of a socket itself that has place behind `/proc/self/fd/2147483647/`.
    static let nameLimit = 82

    private static let pathLimit = 107

    private let bytes: [UInt8]
    /// Open for as long as the address is used.
    private let folder: OwnedDescriptor?

    package init(_ path: FilePath) throws(UnixSocketError) {
        // Not through String: the names of files need not be UTF-8.
        let text = unsafe path.withPlatformString { unsafe Self.bytes($0) }
        guard let name = unsafe path.lastComponent?.withPlatformString({ unsafe Self.bytes($0) }),
            name.count <= Self.nameLimit || text.count <= Self.pathLimit
        else { throw .unusableName(path) }
        if text.count <= Self.pathLimit {
            bytes = text
            folder = nil
        } else {
            let raw = unsafe path.parent.withPlatformString { unsafe chost_open_folder($0) }
            guard raw >= 0 else { throw .failed(path, operation: "open its folder", Errno(rawValue: -raw)) }
            bytes = Array("/proc/self/fd/\(raw)/".utf8) + name
            folder = OwnedDescriptor(adopting: raw)
        }
    }

    private static func bytes(_ string: UnsafePointer<CChar>) -> [UInt8] {
        unsafe UnsafeBufferPointer(start: string, count: strlen(string)).map(UInt8.init(bitPattern:))
    }

    /// Calls a function that takes an address.
    ///
    /// - Returns: 0, or why it failed.
    package func withSocketAddress(_ call: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // One byte stays 0, and ends the path.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes.prefix($0.count - 1)) }
        return unsafe withUnsafePointer(to: &address) { pointer in
            // SAFETY: every address starts as sockaddr does, and the length says where this one ends.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe call(pointer, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 ? 0 : errno
            }
        }
    }
}
