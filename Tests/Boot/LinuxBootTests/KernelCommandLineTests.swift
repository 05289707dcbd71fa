// SPDX-License-Identifier: Apache-2.0

import LinuxBoot
import Testing

@Suite struct KernelCommandLineTests {
    @Test(
        arguments: [
            ([], "", ""), ([], "quiet", "quiet"), (["a", "b=1"], "", "a b=1"),
            (["a", "b=1"], "  c -- x\t\n", "a b=1 c -- x"), ([""], "c", "c"),
        ] as [([String], String, String)]
    )
    func `the user's part follows Martlet's`(defaults: [String], user: String, expected: String) throws {
        let line = try KernelCommandLine(defaults: defaults, user: user)
        #expect(line.text == expected)
        #expect(line.byteCount == expected.utf8.count)
    }

    @Test(
        arguments: [
            ("a b=1\tc", ["a", "b=1", "c"]), ("a -- root=x", ["a"]), ("a --  b", ["a"]), ("--x --", ["--x"]),
            ("init=\"/bin/sh root=x\" b", ["init=/bin/sh root=x", "b"]), ("\"root=a b\" c", ["root=a b", "c"]),
            ("a=\"x -- y\" b", ["a=x -- y", "b"]), ("\"--\" b", []), ("a\"b c\"d", ["a\"b c\"d"]), ("", []),
            ("a=\"b c", ["a=b c"]), ("a=\"\" b", ["a=", "b"]),
        ] as [(String, [String])]
    )
    func `the kernel's words are split as the kernel splits them`(text: String, words: [String]) {
        #expect(KernelCommandLine.kernelWords(in: text) == words)
    }

    @Test(arguments: [0x00, 0x0a, 0x0d, 0x1b, 0x1f, 0x7f] as [UInt8])
    func `control characters are refused`(byte: UInt8) {
        let user = "ab" + String(UnicodeScalar(byte)) + "c"
        #expect(throws: BootError.commandLineCharacter(byte, offset: 2)) { try KernelCommandLine(user: user) }
    }

    @Test func `tabs and text beyond ASCII pass`() throws {
        #expect(try KernelCommandLine(user: "a\tb=ü").byteCount == 6)
    }

    @Test func `an ELF kernel reads 2047 bytes`() throws {
        let image = ELFBuilder.linux().build()
        let longest = String(repeating: "x", count: 2047)
        #expect(try Guest(image, commandLine: longest).load(UInt8.self, at: 0x2_0000 + 2047) == 0)
        #expect(throws: BootError.commandLineTooLong(byteCount: 2048, limit: 2047)) {
            try Guest(image, commandLine: longest + "x")
        }
    }

    @Test func `a bzImage says itself how much it reads`() throws {
        var builder = BzImageBuilder(payload: try Compressor.payload(ELFBuilder.linux().build(), .gzip))
        builder.commandLineSize = 255
        #expect(throws: BootError.commandLineTooLong(byteCount: 256, limit: 255)) {
            try Guest(builder.build(), commandLine: String(repeating: "x", count: 256))
        }
        builder.commandLineSize = .max
        #expect(throws: BootError.commandLineTooLong(byteCount: 0x1_0000, limit: 0xffff)) {
            try Guest(builder.build(), commandLine: String(repeating: "x", count: 0x1_0000))
        }
        let guest = try Guest(builder.build(), commandLine: String(repeating: "x", count: 0xffff))
        #expect(try guest.load(UInt8.self, at: 0x2_ffff) == 0)
    }

    @Test func `the message names both lengths`() {
        let error = BootError.commandLineTooLong(byteCount: 3000, limit: 2047)
        #expect(error.description.contains("3000"))
        #expect(error.description.contains("2047"))
    }
}
