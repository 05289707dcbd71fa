// SPDX-License-Identifier: Apache-2.0

/// The reason why a peer's bytes are not a valid message, with the status that answers such a request.
package struct HTTPFault: Error, Hashable, CustomStringConvertible {
    /// The status of the answer, 400 to 599.
    package let status: Int
    /// The error in words of ours: without quotes and backslashes, so it can stand in a JSON string.
    package let description: String

    init(_ status: Int, _ description: String) {
        self.status = status
        self.description = description
    }
}
