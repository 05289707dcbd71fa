// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import TestSupport

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct SignalTests {
    /// The activity of a guest when the signal comes.
    enum Work: CaseIterable {
        case spins, halts, floods

        var code: GuestCode {
            switch self {
            case .spins: .spin
            case .halts: .halt
            case .floods: .flood(UInt8(ascii: "."))
            }
        }
    }

    @Test(arguments: Work.allCases, [SIGTERM, SIGINT, SIGHUP, SIGQUIT])
    func `a signal ends martlet as that signal and restores the terminal, whatever the guest does`(
        work: Work,
        signal: CInt
    ) throws {
        try Martlet(guest: [.write("ready"), work.code]).onTerminal.run { martlet in
            let terminal = try #require(martlet.terminal)
            let before = terminal.firstAttributes
            try martlet.output.read(until: "ready")
            #expect(try terminal.attributes.isRaw)
            martlet.process.send(signal)
            #expect(try martlet.termination() == .signaled(signal))
            #expect(try terminal.attributes == before)
        }
    }

    @Test(arguments: [SIGSEGV, SIGABRT, SIGILL, SIGTRAP, SIGBUS, SIGFPE])
    func `a crash restores the terminal and ends martlet as that signal`(signal: CInt) throws {
        try Martlet(guest: [.write("ready"), .spin]).onTerminal.run { martlet in
            let terminal = try #require(martlet.terminal)
            let before = terminal.firstAttributes
            try martlet.output.read(until: "ready")
            martlet.process.send(signal)
            #expect(try martlet.termination() == .signaled(signal))
            #expect(try terminal.attributes == before)
        }
    }

    @Test func `the terminal is cooked while martlet is stopped and raw when it goes on`() throws {
        try Martlet(guest: [.write("ready"), .echoForever]).onTerminal.run { martlet in
            let terminal = try #require(martlet.terminal)
            let before = terminal.firstAttributes
            try martlet.output.read(until: "ready")
            for round in 1...2 {
                martlet.process.send(SIGTSTP)
                try martlet.process.waitUntilStopped()
                #expect(try terminal.attributes == before)
                martlet.process.send(SIGCONT)
                try Deadline.wait(for: "a raw terminal") { try terminal.attributes.isRaw }
                try martlet.input.write("round \(round)!")
                try martlet.output.read(until: "round \(round)!")
            }
            martlet.process.send(SIGTERM)
            #expect(try martlet.termination() == .signaled(SIGTERM))
            #expect(try terminal.attributes == before)
        }
    }

    @Test func `SIGKILL leaves no process behind`() throws {
        try Martlet(guest: [.write("ready"), .spin], "--cpus", "2").run { martlet in
            try martlet.output.read(until: "ready")
            #expect(martlet.process.session == [martlet.process.id])
            martlet.process.send(SIGKILL)
            #expect(try martlet.termination() == .signaled(SIGKILL))
            #expect(martlet.process.session == [])
        }
    }

    @Test func `a reader of standard output that goes away ends martlet as SIGPIPE`() throws {
        try Martlet(guest: [.write("ready"), .flood(UInt8(ascii: "."))]).run { martlet in
            try martlet.output.read(until: "ready")
            martlet.output.closeInput()
            #expect(try martlet.termination() == .signaled(SIGPIPE))
        }
    }

    @Test func `the terminal is restored when the reader of standard output goes away`() throws {
        let martlet = Martlet(guest: [.write("ready"), .flood(UInt8(ascii: "."))])
        try martlet.with(input: .terminal).run { martlet in
            let terminal = try #require(martlet.terminal)
            let before = terminal.firstAttributes
            try martlet.output.read(until: "ready")
            #expect(try terminal.attributes.isRaw)
            martlet.output.closeInput()
            #expect(try martlet.termination() == .signaled(SIGPIPE))
            #expect(try terminal.attributes == before)
        }
    }

    @Test(arguments: [false, true])
    func `a signal ends martlet although the reader of its output is stalled`(isTerminal: Bool) throws {
        // More than a pipe and the output's buffer take, without a look at the line, which would be free again where the reader
        // was given up. A write that the ACPI event register does not take shows on standard error: it was sent.
        let text = GuestCode.repeating([.write(String(repeating: ".", count: 64))], count: 4000)
        let guest = TinyELF([text, .out(0x603, 0x77), .flood(UInt8(ascii: "."))])
        let martlet = Martlet(image: guest, ["--verbose"])
        try (isTerminal ? martlet.onTerminal : martlet).run { martlet in
            try martlet.messages.read(until: "event register")
            martlet.process.send(SIGTERM)
            #expect(try martlet.process.wait() == .signaled(SIGTERM))
            try martlet.messages.readToEnd()
            #expect(martlet.messages.text.contains("bytes of console output were lost"))
        }
    }

    @Test func `a machine that ends by itself waits for a reader that is slow`() throws {
        let guest = TinyELF([.countUntilFull, .out(0x603, 0x77), .powerOff, .spin])
        try Martlet(image: guest, ["--verbose"]).run { martlet in
            try martlet.messages.read(until: "event register")
            let result = try martlet.end()
            #expect(result.output.count > 64 << 10)
            #expect(result.output.indices.allSatisfy { result.output[$0] == UInt8(truncatingIfNeeded: $0) })
            #expect(result.termination == .exited(0))
        }
    }

    @Test func `a machine that is made to end twice over ends by the first signal`() throws {
        try Martlet(guest: [.write("ready"), .spin]).run { martlet in
            try martlet.output.read(until: "ready")
            for _ in 0..<50 { martlet.process.send(SIGTERM) }
            #expect(try martlet.termination() == .signaled(SIGTERM))
        }
    }

    @Test func `a signal that was ignored when martlet started stays ignored`() throws {
        var martlet = Martlet(guest: [.write("ready"), .echo(byteCount: 1), .powerOff, .spin])
        martlet.launcher = ["/bin/sh", "-c", #"trap '' HUP; exec "$0" "$@""#]
        try martlet.run { martlet in
            try martlet.output.read(until: "ready")
            martlet.process.send(SIGHUP)
            try martlet.input.write("x")
            try martlet.output.read(until: "x")
            #expect(try martlet.termination() == .exited(0))
        }
    }
}
