// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

extension FileDescriptor {
    /// Writes all of `bytes`, however long the reader takes, also where the descriptor is non-blocking.
    ///
    /// Standard output may be non-blocking because the parent process made it so (Node does); System's `writeAll`
    /// fails there as soon as a pipe is full, and the rest is lost.
    ///
    /// - Throws: `Errno`; some of the bytes may be written.
    package func write(all bytes: some Sequence<UInt8>) throws(Errno) {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            do throws(Errno) {
                rest = rest.dropFirst(try writeSome(rest))
            } catch .resourceTemporarilyUnavailable {
                _ = Poll.wait(for: self, .writable)
            }
        }
    }

    /// Writes some of `bytes`: at least one, unless there are none.
    ///
    /// - Throws: `Errno`; `resourceTemporarilyUnavailable` where a non-blocking descriptor takes none now.
    package func writeSome(_ bytes: ArraySlice<UInt8>) throws(Errno) -> Int {
        while true {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(rawValue, $0.baseAddress, $0.count) }
            if count >= 0 { return count }
            guard errno == EINTR else { throw Errno(rawValue: errno) }
        }
    }

    /// Reads available bytes, once.
    ///
    /// - Parameter limit: The greatest number of bytes.
    /// - Returns: Nothing at the end.
    /// - Throws: `Errno`; `resourceTemporarilyUnavailable` where a non-blocking descriptor has nothing now.
    package func readSome(limit: Int) throws(Errno) -> [UInt8] {
        var failure: Errno?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            while true {
                let result = unsafe Glibc.read(rawValue, buffer.baseAddress, limit)
                if result >= 0 { return count = result }
                guard errno == EINTR else { return failure = Errno(rawValue: errno) }
            }
        }
        if let failure { throw failure }
        return bytes
    }
}
