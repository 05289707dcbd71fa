// SPDX-License-Identifier: Apache-2.0

import GuestAgent
import SystemPackage
import Testing

@Suite struct AgentMessageTests {
    @Test func `messages come out as they went in, wherever the stream is cut`() throws {
        let messages = [
            AgentMessage(.started, [1, 2, 3, 4]), AgentMessage(.output, [UInt8](repeating: 7, count: 65536)),
            AgentMessage(.end), AgentMessage(.exit, [0, 0, 0, 0]),
        ]
        let bytes = messages.flatMap(\.bytes)
        for step in [1, 7, 4096, bytes.count] {
            var parser = AgentMessageParser()
            var received: [AgentMessage] = []
            for start in stride(from: 0, to: bytes.count, by: step) {
                parser.append(bytes[start..<min(start + step, bytes.count)])
                while let message = try parser.next() { received.append(message) }
            }
            #expect(received == messages)
        }
    }

    @Test(
        arguments: [
            [0, 0, 0, 0, 0, 0, 0, 0], [66, 1, 0, 0, 0, 0, 0, 0], [66, 0, 0, 0, 1, 0, 1, 0], [200, 0, 0, 0, 0, 0, 0, 0],
            [66, 0, 0, 0, 255, 255, 255, 255],
        ] as [[UInt8]]
    )
    func `what is no message is refused`(bytes: [UInt8]) {
        var parser = AgentMessageParser()
        parser.append(bytes)
        #expect(throws: AgentError.malformed("it sent an invalid message")) { try parser.next() }
    }

    @Test func `a program becomes messages that end with RUN`() throws {
        var program = GuestProgram(["sh", "-c", "exit 3"])
        program.environment = ["A=B"]
        program.user = GuestProgram.User()
        var kinds: [AgentMessage.Kind] = []
        try program.send { message throws(AgentError) in kinds.append(message.kind) }
        #expect(kinds == [.hello, .argument, .argument, .argument, .variable, .user, .options, .run])
    }

    @Test func `text that has no place in a message is refused in words`() {
        for argument in ["a\0b", String(repeating: "x", count: 65536)] {
            #expect(throws: AgentError.self) {
                try GuestProgram([argument]).send { _ throws(AgentError) in }
            }
        }
    }

    @Test func `the exit status of a program that cannot be run is a shell's`() {
        #expect(AgentError.failed(.noSuchFileOrDirectory, "cannot run x").exitStatus == 127)
        #expect(AgentError.failed(.permissionDenied, "cannot run x").exitStatus == 126)
        #expect(AgentError.failed(.noSuchFileOrDirectory, "cannot mount /dev/vda").exitStatus == 125)
        #expect(AgentError.hungUp.exitStatus == 125)
    }
}
