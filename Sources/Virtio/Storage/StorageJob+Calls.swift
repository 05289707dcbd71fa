// SPDX-License-Identifier: Apache-2.0

import CStorage
import Glibc
import SystemPackage

/// The calls of a job, made by the calling thread.
extension StorageJob {
    /// Makes all calls, one after the other.
    ///
    /// - Returns: The error that ended it, if any.
    mutating func run(on file: CInt, isCancelled: () -> Bool = { false }) -> Errno? {
        while true {
            if case .done(let error) = step { return error }
            if isCancelled() { return .canceled }
            switch step {
            case .read: read(file, CSTORAGE_PLAIN)
            case .write(let isDurable): write(file, isDurable ? CSTORAGE_DURABLE : CSTORAGE_PLAIN)
            case .sync: advance(Int(cstorage_sync(file)))
            case .allocate(let what, let byteCount): advance(Int(cstorage_allocate(file, what, offset, byteCount)))
            case .done(let error): return error
            }
        }
    }

    /// Reads as far as the page cache has it: does not wait for the disk.
    mutating func readAtOnce(on file: CInt) {
        while case .read = step {
            let result = unsafe call(cstorage_read, file, CSTORAGE_NOWAIT)
            // It is not in the page cache, or this file system cannot tell.
            if result == -Int(EAGAIN) || result == -Int(EOPNOTSUPP) { return }
            advance(result)
        }
    }

    /// Writes into the page cache, which may wait for place there.
    mutating func writeAtOnce(on file: CInt) {
        while case .write(isDurable: false) = step { write(file, CSTORAGE_PLAIN) }
    }

    private mutating func read(_ file: CInt, _ how: cstorage_how) {
        advance(unsafe call(cstorage_read, file, how))
    }

    private mutating func write(_ file: CInt, _ how: cstorage_how) {
        advance(unsafe call(cstorage_write, file, how))
    }

    private typealias Call = (CInt, UnsafePointer<iovec>, CInt, UInt64, cstorage_how) -> Int

    private func call(_ function: Call, _ file: CInt, _ how: cstorage_how) -> Int {
        unsafe withVectors { vectors in
            guard let start = vectors.baseAddress else { return 0 }
            return unsafe function(file, start, CInt(vectors.count), offset, how)
        }
    }
}
