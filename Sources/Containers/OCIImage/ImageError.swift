// SPDX-License-Identifier: Apache-2.0

/// Why an image cannot be used.
package struct ImageError: Error, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
