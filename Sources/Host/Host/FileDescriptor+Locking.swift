// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage

extension FileDescriptor {
    /// Locks the file by flock(2), and waits for its holder, even while signals come.
    ///
    /// - Parameter isShared: Whether others may lock it in the same way.
    package func waitForLock(shared isShared: Bool = false) {
        while flock(rawValue, isShared ? LOCK_SH : LOCK_EX) != 0, errno == EINTR {}
    }
}
