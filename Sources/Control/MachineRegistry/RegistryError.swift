// SPDX-License-Identifier: Apache-2.0

import Host

/// Why a machine cannot be found, made, reached or removed, in words for its user.
package struct RegistryError: Error, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        // It may repeat what a file or another process says.
        self.description = printable(description, keepsLines: true)
    }
}
