// SPDX-License-Identifier: Apache-2.0

/// Why a machine cannot be found, made, reached or removed, in words for its user.
package struct RegistryError: Error, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
