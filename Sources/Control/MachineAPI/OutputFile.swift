// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// The file or named pipe that `/serial` names for the guest's output.
final class OutputFile: Sendable {
    private let owned: OwnedDescriptor

    init(path: String) throws(APIError) {
        // A pipe whose reader is not there yet must not hold the API up.
        let flags = O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY
        let raw = unsafe open(path, flags, 0o600)
        guard raw >= 0 else { throw APIError("serial: cannot open \(path): \(Errno(rawValue: errno))") }
        owned = OwnedDescriptor(adopting: raw)
    }

    var descriptor: FileDescriptor { owned.borrowed }
}
