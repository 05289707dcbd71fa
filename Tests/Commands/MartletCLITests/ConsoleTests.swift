// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import TestSupport

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct ConsoleTests {
    static let everyByte = Array(UInt8.min ... .max)

    // MARK: - Bytes

    @Test func `every byte goes to the guest and back through a terminal without an escape key`() throws {
        let guest = [GuestCode.write("ready"), .echo(byteCount: 512), .powerOff, .spin]
        try Martlet(image: TinyELF(guest), ["--escape", "none"]).onTerminal.run { martlet in
            try martlet.output.read(until: "ready")
            try martlet.input.write(Self.everyByte + Self.everyByte.reversed())
            #expect(try martlet.output.read(count: 512) == Self.everyByte + Self.everyByte.reversed())
            #expect(try martlet.termination() == .exited(0))
        }
    }

    @Test func `every byte goes to the guest and back through a terminal with the escape key doubled`() throws {
        try Martlet(guest: [.write("ready"), .echo(byteCount: 256), .powerOff, .spin]).onTerminal.run { martlet in
            try martlet.output.read(until: "ready")
            try martlet.input.write(Self.everyByte.flatMap { $0 == 1 ? [1, 1] : [$0] })
            #expect(try martlet.output.read(count: 256) == Self.everyByte)
            #expect(try martlet.termination() == .exited(0))
        }
    }

    @Test func `every byte goes to the guest and back through pipes, the escape key included`() throws {
        try Martlet(guest: [.echo(byteCount: 256), .powerOff, .spin]).run { martlet in
            try martlet.input.write(Self.everyByte)
            martlet.input.closeOutput()
            let result = try martlet.end()
            #expect(result.output == Self.everyByte)
            #expect(result.termination == .exited(0))
        }
    }

    @Test func `a long input arrives whole and in order, faster than the guest can take it`() throws {
        // More than the FIFO, the pipe and one read take at once; not more, because each byte costs four exits.
        let bytes = (0..<(96 << 10)).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
        try Martlet(guest: [.echo(byteCount: bytes.count), .powerOff, .spin]).run { martlet in
            try martlet.input.write(bytes, within: .seconds(300))
            martlet.input.closeOutput()
            let result = try martlet.end(within: .seconds(300))
            #expect(result.output.count == bytes.count)
            #expect(result.output == bytes)
            #expect(result.termination == .exited(0))
        }
    }

    @Test func `a guest that looks at its line waits for a reader that stalls, and nothing is lost`() throws {
        // A write that the ACPI event register does not take shows on standard error: the line is full.
        let report = GuestCode.out(0x603, 0x77)
        let resume = [GuestCode.waitForBits(0x20, in: 0x3fd), .write("resumed"), .powerOff, .spin]
        let guest = TinyELF([.countUntilFull, report] + resume)
        try Martlet(image: guest, ["--verbose"]).run { martlet in
            try martlet.messages.read(until: "event register")
            let result = try martlet.end()
            let counted = result.output.dropLast("resumed".utf8.count)
            #expect(counted.count > 64 << 10)
            #expect(counted.indices.allSatisfy { counted[$0] == UInt8(truncatingIfNeeded: $0) })
            #expect(result.text.hasSuffix("resumed"))
            #expect(!result.messages.contains("lost"))
            #expect(result.termination == .exited(0))
        }
    }

    // MARK: - Escape commands

    @Test func `the escape key and x stop the machine, and the exit status is 0`() throws {
        try Martlet(guest: [.write("ready"), .spin]).onTerminal.run { martlet in
            let terminal = try #require(martlet.terminal)
            let before = terminal.firstAttributes
            try martlet.output.read(until: "ready")
            try martlet.input.write("\u{1}x")
            let result = try martlet.end()
            #expect(result.termination == .exited(0))
            #expect(result.messages.contains("stopped"))
            #expect(try terminal.attributes == before)
        }
    }

    @Test func `a line at the start names the escape key, and its h shows every command`() throws {
        try Martlet(guest: [.write("ready"), .echoForever]).onTerminal.with(messages: .terminal).run { martlet in
            let start = try martlet.output.read(until: "ready")
            #expect(start.contains("Ctrl-a x"))
            try martlet.input.write("\u{1}h")
            let help = try martlet.output.read(until: "send Ctrl-a to the guest\r\n")
            for key in ["x", "b", "c", "p", "h"] { #expect(help.contains("\r\nCtrl-a \(key)  ")) }
            // On a raw terminal each line needs its own carriage return.
            #expect(!help.replacing("\r\n", with: "").contains("\n"))
            try martlet.input.write("on")
            try martlet.output.read(until: "on")
        }
    }

    @Test func `another escape key can be chosen, and the usual one is the guest's then`() throws {
        let guest = TinyELF([.write("ready"), .echoForever])
        try Martlet(image: guest, ["--escape", "ctrl-b"]).onTerminal.run { martlet in
            try martlet.output.read(until: "ready")
            try martlet.input.write("\u{1}x\u{2}\u{2}.")
            #expect(try martlet.output.read(count: 4) == Array("\u{1}x\u{2}.".utf8))
            try martlet.input.write("\u{2}x")
            #expect(try martlet.termination() == .exited(0))
        }
    }

    @Test func `a key without a meaning behind the escape key is swallowed, and the next is the guest's`() throws {
        try Martlet(guest: [.write("ready"), .echoForever]).onTerminal.run { martlet in
            try martlet.output.read(until: "ready")
            try martlet.input.write("a\u{1}qb\u{1}\u{0}c")
            #expect(try martlet.output.read(count: 3) == Array("abc".utf8))
        }
    }

    @Test func `the escape key and b send a break behind what was typed before`() throws {
        let awaitBreak = GuestCode.waitForBits(0x10, in: 0x3fd)
        // Without a look at the line between the third byte and the break: a look takes the break's flag away.
        let echo = GuestCode.repeating([.waitForBits(0x01, in: 0x3fd), .forward(0x3f8)], count: 3)
        let guest = [GuestCode.write("ready"), echo, awaitBreak, .write("break"), .powerOff, .spin]
        try Martlet(image: TinyELF(guest)).onTerminal.run { martlet in
            try martlet.output.read(until: "ready")
            try martlet.input.write("abc\u{1}b")
            let result = try martlet.end()
            #expect(result.text == "abcbreak")
            #expect(result.termination == .exited(0))
        }
    }

    @Test func `the escape key and c press Ctrl-Alt-Del on the keyboard`() throws {
        let forwardKey = GuestCode.repeating([.waitForBits(0x01, in: 0x64), .forward(0x60)], count: 8)
        let enableKeyboard = [GuestCode.out(0x60, 0xf4), .waitForBits(0x01, in: 0x64), .read(0x60)]
        let guest = TinyELF(enableKeyboard + [.write("ready"), forwardKey, .powerOff, .spin])
        try Martlet(image: guest).onTerminal.run { martlet in
            try martlet.output.read(until: "ready")
            try martlet.input.write("\u{1}c")
            // Scancode set 1: Ctrl, Alt and the grey Del go down, then up again.
            #expect(try martlet.end().output == [0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d])
        }
    }

    @Test func `the escape key and p press the power button`() throws {
        let guest = TinyELF([.write("ready"), .waitForBits(0x01, in: 0x603), .write("pressed"), .powerOff, .spin])
        try Martlet(image: guest).onTerminal.run { martlet in
            try martlet.output.read(until: "ready")
            try martlet.input.write("\u{1}p")
            let result = try martlet.end()
            #expect(result.text == "pressed")
            #expect(result.termination == .exited(0))
        }
    }

    @Test func `a command behind input that the guest does not take is obeyed all the same`() throws {
        try Martlet(guest: [.write("ready"), .spin]).onTerminal.run { martlet in
            try martlet.output.read(until: "ready")
            try martlet.input.write([UInt8](repeating: UInt8(ascii: "."), count: 20_000) + Array("\u{1}x".utf8))
            #expect(try martlet.termination() == .exited(0))
        }
    }

    // MARK: - The terminal

    @Test func `a terminal that is closed ends martlet as SIGHUP`() throws {
        try Martlet(guest: [.write("ready"), .spin]).onTerminal.run { martlet in
            try martlet.output.read(until: "ready")
            martlet.terminal?.hangUp()
            #expect(try martlet.termination() == .signaled(SIGHUP))
        }
    }

    @Test func `a window that changes its size does no harm`() throws {
        try Martlet(guest: [.write("ready"), .echo(byteCount: 200), .powerOff, .spin]).onTerminal.run { martlet in
            let terminal = try #require(martlet.terminal)
            try martlet.output.read(until: "ready")
            for round in 0..<20 {
                try terminal.resize(columns: UInt16(20 + round), lines: UInt16(5 + round))
                try martlet.input.write("0123456789")
            }
            #expect(try martlet.termination() == .exited(0))
            #expect(martlet.output.text.hasSuffix(String(repeating: "0123456789", count: 20)))
        }
    }

    @Test func `the terminal is restored when the guest powers off, panics or shuts down`() throws {
        for end in [GuestCode.powerOff, .panic, .tripleFault] {
            try Martlet(guest: [.write("ready"), .echo(byteCount: 1), end, .spin]).onTerminal.run { martlet in
                let terminal = try #require(martlet.terminal)
                let before = terminal.firstAttributes
                try martlet.output.read(until: "ready")
                #expect(try terminal.attributes.isRaw)
                try martlet.input.write(".")
                _ = try martlet.termination()
                #expect(try terminal.attributes == before)
            }
        }
    }

    // MARK: - Files, pipes and nothing

    @Test func `a console file takes the output while input comes from a pipe`() throws {
        let folder = try TemporaryFolder()
        let guest = TinyELF([.write("> "), .echo(byteCount: 6), .powerOff, .spin])
        try Martlet(image: guest, ["--console", "file:\(folder.path)/log"]).run { martlet in
            try martlet.input.write("hello\n")
            let result = try martlet.end()
            #expect(result.termination == .exited(0))
            #expect(result.output.isEmpty)
        }
        #expect(try folder.read("log") == Array("> hello\n".utf8))
    }

    @Test func `a terminal is left alone when the console is a file`() throws {
        let folder = try TemporaryFolder()
        let guest = TinyELF([.write("ready"), .spin])
        try Martlet(image: guest, ["--console", "file:\(folder.path)/log"]).onTerminal.run { martlet in
            let terminal = try #require(martlet.terminal)
            try Deadline.wait(for: "the guest") { (try? folder.read("log")) == Array("ready".utf8) }
            #expect(try !terminal.attributes.isRaw)
            // Ctrl-C, which the terminal turns into SIGINT.
            try martlet.input.write("\u{3}")
            #expect(try martlet.termination() == .signaled(SIGINT))
        }
    }

    @Test func `a console that is none gives and takes nothing`() throws {
        let guest = TinyELF([.write("unheard"), .powerOff, .spin])
        let result = try Martlet(image: guest, ["--console", "none"]).runToEnd()
        #expect(result.output.isEmpty)
        #expect(result.termination == .exited(0))
    }

    @Test func `standard input may be a file, and its end is not the guest's`() throws {
        let folder = try TemporaryFolder()
        let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
        let path = try folder.write(bytes, to: "commands")
        let guest = [GuestCode.echo(byteCount: bytes.count), .write("on"), .powerOff, .spin]
        let result = try Martlet(image: TinyELF(guest)).with(input: .file(path)).runToEnd()
        #expect(result.output == bytes + Array("on".utf8))
        #expect(result.termination == .exited(0))
    }

    @Test(arguments: ["null", "closed", "at its end"])
    func `a guest runs without input`(kind: String) throws {
        let input: Martlet.Channel = kind == "null" ? .null : kind == "closed" ? .closed : .pipe
        let guest = TinyELF([.write("ready"), .read(0x3fd), .countPolitely(byteCount: 3000), .powerOff, .spin])
        let result = try Martlet(image: guest).with(input: input).runToEnd()
        #expect(result.output.prefix(5) == Array("ready".utf8)[...])
        #expect(result.output.count == 3005)
        #expect(result.termination == .exited(0))
    }

    @Test func `a guest runs with every standard descriptor closed`() throws {
        let martlet = Martlet(guest: [.write("unheard"), .powerOff, .spin])
        let result = try martlet.with(input: .closed, output: .closed, messages: .closed).runToEnd()
        #expect(result.termination == .exited(0))
    }

    @Test func `a device that is full does not stop the guest, and the loss is told`() throws {
        let martlet = Martlet(guest: [.write("lost"), .powerOff, .spin])
        let result = try martlet.with(output: .file("/dev/full", flags: O_WRONLY)).runToEnd()
        #expect(result.termination == .exited(0))
        #expect(result.messages.contains("No space left"))
        #expect(result.messages.contains("4 bytes of console output were lost"))
    }
}
