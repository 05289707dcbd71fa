// SPDX-License-Identifier: Apache-2.0

extension JSONValue {
    /// The greatest depth of nested arrays and objects: that of serde_json, by which Firecracker's clients store metadata.
    package static let depthLimit = 127

    /// Parses a whole JSON text, strictly.
    ///
    /// Refused are: bytes that are not UTF-8, anything after the value, names that an object has twice, more than
    /// `depthLimit` values in each other, integers of more than 64 bits, numbers beyond `Double`, and U+0000 in a name.
    ///
    /// - Parameter bytes: The text; its value may be of any type.
    /// - Throws: `JSONError` with the place and the reason.
    package init(parsing bytes: [UInt8]) throws(JSONError) {
        var parser = JSONParser(bytes)
        self = try parser.parse()
    }
}
