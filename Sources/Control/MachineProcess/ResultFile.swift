// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import JSON
package import MachineAPI
package import SystemPackage

/// The file that tells how a machine ended when its process is gone.
///
/// The file has its space before the guest runs, so that a full file system does not take the machine's last word.
package final class ResultFile: Sendable {
    /// The space that the file has, in bytes; a longer message is cut.
    static let byteCount = 16 << 10
    private static let messageLimit = 2000

    private let owned: OwnedDescriptor

    /// Opens the file, empties it, and takes its space.
    ///
    /// - Parameter path: A regular file, or nothing yet.
    /// - Throws: `APIError`, in words.
    package init(path: FilePath) throws(APIError) {
        let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        let raw = unsafe path.withPlatformString { unsafe open($0, flags, 0o600) }
        guard raw >= 0 else { throw APIError("cannot open \(path): \(Errno(rawValue: errno))") }
        owned = OwnedDescriptor(adopting: raw)
        guard (try? owned.borrowed.stat())?.type == .regular else {
            throw APIError("cannot open \(path): it is not a regular file")
        }
        var error = ftruncate(raw, 0) == 0 ? 0 : errno
        if error == 0 { error = posix_fallocate(raw, 0, off_t(Self.byteCount)) }
        guard error == 0 else {
            throw APIError("no room for the machine's result in \(path): \(Errno(rawValue: error))")
        }
    }

    /// Writes the result: all of it, or nothing that is taken for one.
    func write(_ result: MachineResult) throws(Errno) {
        var result = result
        let now = Timestamp.now
        (result.endedAt, result.endedAtMilliseconds) = ("\(now)", now.millisecondsSinceEpoch)
        result.message = result.message.map { String($0.prefix(Self.messageLimit)) }
        let text = Array((JSONValue.encoding(result).text + "\n").utf8)
        try unsafe text.span.withUnsafeBytes { bytes throws(Errno) in
            // The first byte comes last: until then the file begins with 0, which is no JSON.
            try unsafe owned.borrowed.write(all: UnsafeRawBufferPointer(rebasing: bytes[1...]), at: 1)
            // Gives space back, which cannot fail for lack of it.
            _ = ftruncate(owned.rawValue, off_t(text.count))
            try unsafe owned.borrowed.write(all: UnsafeRawBufferPointer(rebasing: bytes[..<1]), at: 0)
        }
    }
}
