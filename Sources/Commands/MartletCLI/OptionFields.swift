// SPDX-License-Identifier: Apache-2.0

/// An option of several fields with commas between them: `root.ext4,readonly,id=DATA`.
///
/// A comma of a field is written twice.
struct OptionFields {
    /// A field after the first one: a word alone, or with a value.
    struct Field: CustomStringConvertible {
        let name: String
        let value: String?

        fileprivate init(_ text: String) {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            (name, value) = (parts[0], parts.count > 1 ? parts[1] : nil)
        }

        var description: String { name + (value.map { "=\($0)" } ?? "") }

        /// A number of things, 1 at least.
        func number(_ text: String) throws(OptionProblem) -> UInt64 {
            guard let number = UInt64(text), 1...1 << 40 ~= number else {
                throw OptionProblem("\(name)= takes a positive number, not '\(text)'")
            }
            return number
        }

        /// A number of bytes each second.
        func size(_ text: String) throws(OptionProblem) -> UInt64 {
            guard let size = MemorySize(argument: text.allSatisfy(\.isNumber) ? text + "b" : text), size.byteCount > 0
            else { throw OptionProblem("\(name)= takes a size such as 20M, in bytes a second, not '\(text)'") }
            return size.byteCount
        }
    }

    let first: String
    let rest: [Field]

    init(_ argument: String) {
        var fields = [""]
        var wasComma = false
        for character in argument {
            if character == "," {
                if wasComma {
                    fields.removeLast()
                    fields[fields.count - 1].append(",")
                } else {
                    fields.append("")
                }
                wasComma.toggle()
            } else {
                fields[fields.count - 1].append(character)
                wasComma = false
            }
        }
        first = fields.removeFirst()
        rest = fields.map { Field($0) }
    }

    /// The first field as a kind and what follows a colon, if there is one.
    var kind: (String, String?) {
        let parts = first.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return (parts[0], parts.count > 1 ? parts[1] : nil)
    }
}

/// The reason why an option cannot be read, in words.
struct OptionProblem: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
