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

    /// Reads a file from `offset` on until `buffer` is full or the file ends.
    ///
    /// - Returns: The number of bytes.
    package func read(filling buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        var done = 0
        while done < buffer.count, let base = buffer.baseAddress, let position = off_t(exactly: offset &+ UInt64(done))
        {
            let count = unsafe Glibc.pread(rawValue, base + done, buffer.count - done, position)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Errno(rawValue: errno) }
            guard count > 0 else { break }
            done += count
        }
        return done
    }

    /// Reads up to `count` bytes of a file from `offset` on; fewer only at its end.
    package func bytes(count: Int, at offset: UInt64) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var elements = bytes.mutableSpan
        let done = try unsafe elements.withUnsafeMutableBytes { buffer throws(Errno) in
            try unsafe read(filling: buffer, at: offset)
        }
        bytes.removeLast(count - done)
        return bytes
    }

    /// Writes all of `bytes` to a file, from `offset` on.
    package func write(all bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) {
        var done = 0
        while done < bytes.count, let base = bytes.baseAddress {
            let position = off_t(clamping: offset) + off_t(done)
            let count = unsafe Glibc.pwrite(rawValue, base + done, bytes.count - done, position)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw count < 0 ? Errno(rawValue: errno) : .noSpace }
            done += count
        }
    }
}

extension FileDescriptor {
    /// Locks the file by flock(2), and waits for its holder, even while signals come.
    ///
    /// - Parameter isShared: Whether others may lock it in the same way.
    package func waitForLock(shared isShared: Bool = false) {
        while flock(rawValue, isShared ? LOCK_SH : LOCK_EX) != 0, errno == EINTR {}
    }
}
