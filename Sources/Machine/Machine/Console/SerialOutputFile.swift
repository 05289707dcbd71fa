// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// The file or named pipe that a configuration names for the guest's output.
final class SerialOutputFile: Sendable {
    private let owned: OwnedDescriptor

    /// Opens or creates the file, to append the output.
    init(path: FilePath) throws(MachineError) {
        // A pipe without a reader must not delay the start.
        let flags = O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY
        let raw = unsafe path.withPlatformString { unsafe open($0, flags, 0o644) }
        guard raw >= 0 else { throw .consoleFile(path, Errno(rawValue: errno)) }
        owned = OwnedDescriptor(adopting: raw)
    }

    var descriptor: FileDescriptor { owned.borrowed }
}
