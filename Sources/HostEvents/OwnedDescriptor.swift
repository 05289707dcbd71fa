// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// The one owner of a file descriptor: it closes the descriptor when it goes away.
package struct OwnedDescriptor: ~Copyable, Sendable {
    package let rawValue: CInt

    /// Takes over `rawValue`, which nobody else may close.
    package init(adopting rawValue: CInt) {
        self.rawValue = rawValue
    }

    /// The descriptor for one call; it stays owned here.
    package var borrowed: FileDescriptor {
        FileDescriptor(rawValue: rawValue)
    }

    deinit {
        // An error of close leaves nothing to do: the descriptor is gone in any case.
        try? FileDescriptor(rawValue: rawValue).close()
    }
}
