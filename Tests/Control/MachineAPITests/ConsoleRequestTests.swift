// SPDX-License-Identifier: Apache-2.0

import JSON
import TestSupport
import Testing

/// The console of a machine that runs.
@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct ConsoleRequestTests {
    private let fixture: APIFixture

    init() throws {
        fixture = try APIFixture()
        try fixture.start([.write("hello"), .echoForever])
        try fixture.waitForOutput(5)
    }

    @Test func `a viewer sees what was, and what it types`() throws {
        let viewer = try fixture.attach()
        #expect(viewer.position == "0")
        #expect(viewer.mode == "type")
        try viewer.type("abc")
        #expect(try viewer.read(8) == "helloabc")
    }

    @Test(arguments: [("?from=2", "2", "llo!"), ("?from=5", "5", "!"), ("?from=1000", "5", "!")])
    func `a viewer says from where it wants to see`(query: String, position: String, text: String) throws {
        let viewer = try fixture.attach(query)
        #expect(viewer.position == position)
        try viewer.type("!")
        #expect(try viewer.read(text.utf8.count) == text)
    }

    @Test func `a second viewer watches, and its typing is thrown away`() throws {
        let first = try fixture.attach()
        let second = try fixture.attach("?mode=type")
        #expect(second.mode == "watch")
        try second.type("no")
        try first.type("yes")
        #expect(try second.read(8) == "helloyes")
        #expect(try first.read(8) == "helloyes")
    }

    @Test func `who only watches leaves the keyboard to others`() throws {
        let watcher = try fixture.attach("?mode=watch")
        #expect(watcher.mode == "watch")
        let typist = try fixture.attach()
        #expect(typist.mode == "type")
        try typist.type("x")
        #expect(try watcher.read(6) == "hellox")
    }

    @Test func `who comes back at its position has lost nothing`() throws {
        do {
            let viewer = try fixture.attach()
            try viewer.type("abc")
            #expect(try viewer.read(6) == "helloa")
        }
        let again = try fixture.attach("?from=6")
        #expect(try again.read(2) == "bc")
    }

    @Test func `viewers see the end`() throws {
        let viewer = try fixture.attach()
        try fixture.act(martlet: "Kill").succeed()
        #expect(try viewer.readToEnd() == "hello")
    }

    @Test func `a break is no byte`() throws {
        let viewer = try fixture.attach("?from=5")
        try viewer.type("a")
        #expect(try viewer.read(1) == "a")
        try fixture.act(martlet: "SendBreak").succeed()
        #expect(try fixture.get("/")["state"] == "Running")
    }
}
