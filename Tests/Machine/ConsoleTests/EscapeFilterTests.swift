// SPDX-License-Identifier: Apache-2.0

import Console
import Testing

@Suite struct EscapeFilterTests {
    private func events(_ text: String, prefix: UInt8? = 0x01) -> [EscapeFilter.Event] {
        var filter = EscapeFilter(prefix: prefix)
        return text.utf8.compactMap { filter.process($0) }
    }

    @Test func `what is no command passes byte for byte`() {
        var filter = EscapeFilter(prefix: 0x01)
        for byte in (UInt8.min ... .max) where byte != 0x01 {
            #expect(filter.process(byte) == .byte(byte))
        }
    }

    @Test(arguments: [
        ("x", ConsoleCommand.stop), ("X", .stop), ("b", .sendBreak), ("c", .controlAltDelete),
        ("p", .powerButton), ("h", .help), ("?", .help),
    ])
    func `the prefix and a key are a command, and the next key is none`(key: String, command: ConsoleCommand) {
        #expect(events("\u{1}\(key)x") == [.command(command), .byte(0x78)])
    }

    @Test func `the prefix twice is the prefix once`() {
        #expect(events("\u{1}\u{1}x") == [.byte(0x01), .byte(0x78)])
    }

    @Test func `the prefix and a key without a meaning are swallowed`() {
        #expect(events("\u{1}q\u{1}\u{0}x") == [.byte(0x78)])
    }

    @Test(arguments: [0x00, 0x18, 0x38, 0x58, 0xf8, 0xd8] as [UInt8])
    func `only letters are commands, not what resembles them in some bits`(byte: UInt8) {
        var filter = EscapeFilter(prefix: 0x01)
        _ = filter.process(0x01)
        #expect(filter.process(byte) == (byte == 0x58 ? .command(.stop) : nil))
    }

    @Test func `without a prefix every byte is the guest's`() {
        #expect(events("\u{1}x", prefix: nil) == [.byte(0x01), .byte(0x78)])
    }

    @Test(
        arguments: [
            ("ctrl-a", 0x01), ("Ctrl-Z", 0x1a), ("^b", 0x02), ("none", nil), ("NONE", nil),
        ] as [(String, UInt8?)]
    )
    func `a prefix is written as people write it`(text: String, prefix: UInt8?) throws {
        let filter = try #require(EscapeFilter(parsing: text))
        #expect(filter.prefix == prefix)
    }

    @Test(arguments: ["", "a", "ctrl-", "ctrl-1", "ctrl-aa", "^", "ctrl-ä", "ctrl-["])
    func `anything else is no prefix`(text: String) {
        #expect(EscapeFilter(parsing: text) == nil)
    }

    @Test func `the help names every command with the chosen prefix`() {
        let help = EscapeFilter(prefix: 0x02).help.split(separator: "\n")
        #expect(help.count == ConsoleCommand.allCases.count + 1)
        #expect(help.allSatisfy { $0.hasPrefix("Ctrl-b ") })
    }
}
