// SPDX-License-Identifier: Apache-2.0

import Firmware
import GuestMemory
import Host
import MachineModel

/// A kernel command line: one line of text, up to a length that the kernel sets.
package struct KernelCommandLine: Hashable, Sendable, CustomStringConvertible {
    /// The longest command line that a Linux x86 kernel reads that does not say so itself: `COMMAND_LINE_SIZE`, less
    /// the terminating NUL.
    package static let linuxLimit = BootSource.commandLineLimit

    /// The line without its terminating NUL, as text that stands for bytes (`String.hostBytes`).
    package let text: String

    /// Joins Martlet's own parameters and the user's.
    ///
    /// The user's come last, because the last of several values wins and because everything after `--` goes to init.
    /// Bytes beyond ASCII pass as they are, as they do in the kernel.
    ///
    /// White space around `user` is dropped. Throws `commandLineCharacter` for a NUL, a line break or another control character
    /// than a tab.
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
    /// That is before the user's, and never after a `--`, wherever that comes from.
    func announcing(_ devices: [FirmwareDescription.VirtioDevice]) -> Self {
        let words = devices.map(\.kernelParameter) + (text.isEmpty ? [] : [text])
        return Self(checked: words.joined(separator: " "))
    }

    /// The words of this line that the kernel itself reads.
    var kernelWords: [String] { Self.kernelWords(in: text) }

    /// The words of `text` that the kernel itself reads, as `next_arg` in lib/cmdline.c splits them.
    ///
    /// White space in quotes splits nothing, quotes around a word or its value are dropped, and everything after `--` is for
    /// init.
    package static func kernelWords(in text: String) -> [String] {
        var words: [String] = []
        var word: [UInt8] = []
        var isQuoted = false
        for byte in Array(text.utf8) + [0x20] {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            // isspace() of the kernel is Latin-1's.
            guard !isQuoted, (0x09...0x0d).contains(byte) || byte == 0x20 || byte == 0xa0 else {
                word.append(byte)
                continue
            }
            if !word.isEmpty { words.append(unquoted(word)) }
            word = []
        }
        // A quote that nobody closes holds the rest of the line.
        if isQuoted { words.append(unquoted(word.dropLast())) }
        return Array(words.prefix { $0 != "--" })
    }

    private static func unquoted(_ bytes: [UInt8]) -> String {
        let quote = UInt8(ascii: "\"")
        var word = bytes[...]
        let hasQuotedStart = word.first == quote
        if hasQuotedStart { word = word.dropFirst() }
        if let equals = word.firstIndex(of: UInt8(ascii: "=")), equals > word.startIndex,
            equals + 1 < word.endIndex, word[equals + 1] == quote
        {
            word.remove(at: equals + 1)
            if word.last == quote { word = word.dropLast() }
        } else if hasQuotedStart, word.last == quote {
            word = word.dropLast()
        }
        return String(decoding: word, as: UTF8.self)
    }

    /// The length in bytes without the terminating NUL.
    package var byteCount: Int { text.hostBytes.count }

    package var description: String { text }

    /// The bytes for the guest, the terminating NUL included.
    var bytes: [UInt8] { text.hostBytes + [0] }

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

extension FirmwareDescription.VirtioDevice {
    /// The kernel parameter that announces the device to a Linux without ACPI, `virtio_mmio.device=4K@0xd0000000:5`.
    ///
    /// drivers/virtio/virtio_mmio.c has the syntax; needs `CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES`. Without an id Linux
    /// numbers the devices in their order.
    package var kernelParameter: String {
        let isKibibytes = byteCount > 0 && byteCount % 1024 == 0
        let size = isKibibytes ? "\(byteCount / 1024)K" : "\(byteCount)"
        return "virtio_mmio.device=\(size)@\(base):\(gsi)"
    }
}
