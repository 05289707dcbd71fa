// SPDX-License-Identifier: Apache-2.0

import Firmware
import Testing

@Suite struct AMLPathTests {
    private func encoded(_ path: AMLPath) throws -> [UInt8] {
        try AML.encode([.reference(path)])
    }

    @Test(
        arguments: [
            ("_HID", [], "_HID"), ("A", [], "A___"), ("_", [], "____"), ("KB0", [], "KB0_"),
            (#"\_S5"#, [0x5c], "_S5_"), (#"\"#, [0x5c, 0x00], ""), ("^", [0x5e, 0x00], ""),
            ("^^PWRB", [0x5e, 0x5e], "PWRB"), (#"\_SB.PWRB"#, [0x5c, 0x2e], "_SB_PWRB"),
            ("A.B.C", [0x2f, 0x03], "A___B___C___"),
        ] as [(String, [UInt8], String)]
    )
    func `a path is encoded as prefixes and padded segments`(text: String, prefix: [UInt8], segments: String) throws {
        #expect(try encoded(AMLPath(text)) == prefix + segments.utf8)
    }

    @Test(
        arguments: [
            "", ".", "A.", ".A", "A..B", "ABCDE", "1ABC", "abcd", "A-B", "A B", "A^", #"^\A"#, #"\^A"#, #"A\B"#, "Ä",
        ]
    )
    func `a text that is no path throws`(text: String) {
        #expect(throws: AMLError.invalidName(text)) { try AMLPath(text) }
    }

    @Test func `a path has at most 255 segments`() throws {
        let longest = [String](repeating: "A", count: 255).joined(separator: ".")
        #expect(try encoded(AMLPath(longest)).prefix(2) == [0x2f, 0xff])
        #expect(throws: AMLError.self) { try AMLPath(longest + ".A") }
    }

    @Test func `a wrong path in the source traps`() async {
        await #expect(processExitsWith: .failure) { _ = "lower" as AMLPath }
    }

    @Test func `numbered names have three hexadecimal digits`() throws {
        #expect(try AMLPath(numbered: 0, prefix: "C") == "C000")
        #expect(try AMLPath(numbered: 4095, prefix: "V") == "VFFF")
        #expect(throws: AMLError.invalidName("C1000")) { try AMLPath(numbered: 4096, prefix: "C") }
    }
}
