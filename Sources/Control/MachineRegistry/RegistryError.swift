// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage

/// The reason why a machine cannot be found, made, reached or removed, in words for its user.
package struct RegistryError: Error, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        // It may repeat text of a file or another process.
        self.description = printable(description, keepsLines: true)
    }

    /// The failure of a call on a file of the machines', with a way out where their file system is full.
    ///
    /// `operation` names the call and its object: `make /run/x`.
    init(cannot operation: String, _ errno: Errno) {
        let isFull = errno == .noSpace || errno.rawValue == EDQUOT
        let hint = "; `martlet rm --all` frees the space of machines that have ended"
        self.init("cannot \(operation): \(errno)\(isFull ? hint : "")")
    }
}
