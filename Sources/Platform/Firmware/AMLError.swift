// SPDX-License-Identifier: Apache-2.0

/// The reason why a term has no encoding in the ACPI Machine Language.
package enum AMLError: Error, Hashable, CustomStringConvertible {
    /// A text that is not a name or path of the ACPI namespace.
    case invalidName(String)
    /// A text that is not an EISA identifier: three capital letters and four capital hexadecimal digits.
    case invalidEISAID(String)
    /// A string with characters other than ASCII 1 to 127.
    case invalidString(String)
    /// A package of more than 255 elements.
    case tooManyElements(Int)
    /// An object that is longer than the 2^28 - 1 bytes (or bits of a field) a PkgLength can say.
    case tooLong(Int)
    /// A local variable beyond `Local7`, an argument beyond `Arg6`, or a method of more than seven arguments.
    case invalidOperand(String)

    package var description: String {
        switch self {
        case .invalidName(let text):
            "\"\(text)\" is not an ACPI name: segments have 1 to 4 of A-Z, 0-9 and _, and no digit first"
        case .invalidEISAID(let text):
            "\"\(text)\" is not an EISA identifier: 3 capital letters and 4 hexadecimal digits are"
        case .invalidString(let text):
            "an AML string holds ASCII 1 to 127 only, not \"\(text)\""
        case .tooManyElements(let count):
            "an AML package holds at most 255 elements, not \(count)"
        case .tooLong(let count):
            "a length of \(count) is more than an AML PkgLength can say"
        case .invalidOperand(let text):
            "AML has no \(text)"
        }
    }
}
