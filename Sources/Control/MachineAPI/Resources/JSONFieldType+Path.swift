// SPDX-License-Identifier: Apache-2.0

import JSON

extension JSONFieldType where Value == String {
    /// The path of a file: what the host would take for another one, or for none, is refused.
    static var path: Self {
        Self(
            expectation: { _ in "a path: a string that is not empty, without U+0000" },
            read: { value in
                guard case .string(let path) = value, !path.isEmpty, !path.utf8.contains(0) else { return nil }
                return path
            }
        )
    }
}
