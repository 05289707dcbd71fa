// SPDX-License-Identifier: Apache-2.0

import JSON

/// The input is a JSON text.
enum JSONFuzzTarget {
    static func run(_ input: inout FuzzInput) {
        do {
            let value = try JSONValue(parsing: input.rest)
            precondition((try? JSONValue(parsing: Array(value.text.utf8))) == value)
            precondition((try? JSONValue(parsing: Array(value.prettyText.utf8))) == value)
        } catch {
            precondition(!error.description.isEmpty)
        }
    }
}
