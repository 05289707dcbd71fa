// SPDX-License-Identifier: Apache-2.0

import Martlet
import TestSupport
import Testing

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct ConsoleLinesTests {
    /// The lines of a guest that sends `text` and powers off.
    private func lines(of text: String) async throws -> [String] {
        let folder = try TemporaryFolder()
        let machine = try Machines.machine([.write(text), .powerOff, .spin], in: folder)
        try await machine.start()
        var lines: [String] = []
        for await line in machine.console.lines { lines.append(line) }
        return lines
    }

    @Test func `lines come without their ends, empty ones too, and the last one as it is`() async throws {
        #expect(try await lines(of: "one\r\ntwo\n\nfo\rur\r\nrest") == ["one", "two", "", "fo\rur", "rest"])
    }

    @Test func `nothing comes behind the last line's end`() async throws {
        #expect(try await lines(of: "one\n") == ["one"])
        #expect(try await lines(of: "") == [])
    }

    @Test func `a line that does not end comes in pieces`() async throws {
        let text = String(repeating: "x", count: 70_000)
        #expect(try await lines(of: text + "\nend\n").map(\.count) == [65536, 70_000 - 65536, 3])
    }
}
