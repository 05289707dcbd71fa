// SPDX-License-Identifier: Apache-2.0

/// The reason why an image cannot be used.
package struct ImageError: Error, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
