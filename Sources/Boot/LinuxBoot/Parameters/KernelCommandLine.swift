// SPDX-License-Identifier: Apache-2.0

import Firmware

/// A kernel command line: one line of text, of which the kernel says how long it may be.
package struct KernelCommandLine: Hashable, Sendable, CustomStringConvertible {
    /// The longest command line that a Linux x86 kernel reads that does not say so itself: `COMMAND_LINE_SIZE`, less
    /// the terminating NUL.
    package static let linuxLimit = 2047

    /// The line without its terminating NUL.
    package let text: String

    /// Joins Martlet's own parameters and the user's.
    ///
    /// The user's come last, because the last of several values wins and because everything behind `--` goes to init.
    /// Bytes beyond ASCII pass as they are, as they do in the kernel.
    ///
    /// - Parameters:
    ///   - defaults: Martlet's parameters.
    ///   - user: The user's text; white space around it is dropped.
    /// - Throws: `commandLineCharacter` for a NUL, a line break or another control character than a tab.
    package init(defaults: [String] = [], user: String = "") throws(BootError) {
        var parts = defaults
        parts.append(Self.trimmed(user))
        text = parts.filter { !$0.isEmpty }.joined(separator: " ")
        for (offset, byte) in text.utf8.enumerated() where byte < 0x20 && byte != 0x09 || byte == 0x7f {
            throw .commandLineCharacter(byte, offset: offset)
        }
    }

    private init(checked text: String) {
        self.text = text
    }

    /// This line with parameters of the machine in front of all others.
    ///
    /// That is before the user's, and never behind `--`, whoever wrote it.
    func announcing(_ devices: [FirmwareDescription.VirtioDevice]) -> Self {
        let words = devices.map(\.kernelParameter) + (text.isEmpty ? [] : [text])
        return Self(checked: words.joined(separator: " "))
    }

    /// The words that the kernel itself reads, as `next_arg` in lib/cmdline.c splits them: white space in quotes splits
    /// nothing, quotes themselves are dropped, and all behind `--` is for init.
    var kernelWords: [String] {
        var words: [String] = []
        var word = ""
        var isQuoted = false
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": isQuoted.toggle()
            case " " where !isQuoted, "\t" where !isQuoted:
                words.append(word)
                word = ""
            default: word.unicodeScalars.append(scalar)
            }
        }
        words.append(word)
        return Array(words.prefix { $0 != "--" }.filter { !$0.isEmpty })
    }

    /// The length in bytes without the terminating NUL.
    package var byteCount: Int { text.utf8.count }

    package var description: String { text }

    /// The bytes for the guest, the terminating NUL included.
    var bytes: [UInt8] { Array(text.utf8) + [0] }

    /// Checks the length against what a kernel reads.
    ///
    /// - Throws: `commandLineTooLong`; the kernel itself would cut the line off without a word.
    func check(limit: Int) throws(BootError) {
        guard byteCount <= limit else { throw .commandLineTooLong(byteCount: byteCount, limit: limit) }
    }

    private static func trimmed(_ text: String) -> String {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0.isNewline }
        var rest = Substring(text)
        rest = rest.drop(while: isSpace)
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return String(rest)
    }
}
