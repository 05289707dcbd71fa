// SPDX-License-Identifier: Apache-2.0

/// The reason why a container's root file system cannot be made.
package struct RootImageError: Error, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
