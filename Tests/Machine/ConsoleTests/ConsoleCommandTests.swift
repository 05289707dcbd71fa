// SPDX-License-Identifier: Apache-2.0

import Console
import Testing

@Suite struct ConsoleCommandTests {
    /// A machine that writes down what it was asked.
    private final class Target: ConsoleCommandTarget {
        var asked: [String] = []
        var changed: [String] = []

        func commandStop() { asked.append("stop") }
        func commandDetach() -> String? {
            asked.append("detach")
            return "left"
        }
        func commandSendBreak() { asked.append("break") }
        func commandPressControlAltDelete() { asked.append("keys") }
        func commandPressPowerButton() { asked.append("button") }
        func commandRescanDisks() -> [String] { changed }
    }

    @Test func `each key asks the machine for one thing, and tells the user what there is to tell`() throws {
        let target = Target()
        var filter = EscapeFilter(prefix: 0x01)
        var texts: [String] = []
        for key in "xdbcprh" {
            #expect(filter.process(0x01) == nil)
            guard case .command(let command) = filter.process(key.asciiValue ?? 0) else {
                Issue.record("\(key) is no command")
                continue
            }
            if let text = try command.carryOut(on: target, filter) { texts.append(text) }
        }
        #expect(target.asked == ["stop", "detach", "break", "keys", "button"])
        #expect(texts.prefix(2) == ["left", "no disk has a new size"])
        #expect(texts.last == "console commands:\n" + filter.help)
        target.changed = ["/a", "/b"]
        #expect(try ConsoleCommand.rescanDisks.carryOut(on: target, filter) == "new size: /a, /b")
    }
}
