// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A file that is open for as long as this is there.
final class OpenFile {
    let descriptor: CInt

    /// - Parameters:
    ///   - path: A file that is there.
    ///   - isWritable: Whether it is opened for writing, or else for reading.
    init(_ path: String, isWritable: Bool) {
        descriptor = unsafe open(path, (isWritable ? O_WRONLY : O_RDONLY) | O_CLOEXEC)
    }

    deinit {
        close(descriptor)
    }
}
