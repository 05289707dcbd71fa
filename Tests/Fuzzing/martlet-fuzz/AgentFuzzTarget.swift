// SPDX-License-Identifier: Apache-2.0

import CGuestAgent
import GuestAgent

/// The input is what one side of the agent's connection sends; both sides get it.
enum AgentFuzzTarget {
    static func run(_ input: inout FuzzInput) {
        let bytes = input.rest
        var (argumentCount, textCount): (UInt32, Int) = (0, 0)
        _ = unsafe cguest_agent_configure(bytes, bytes.count, &argumentCount, &textCount)
        precondition(textCount <= bytes.count && argumentCount <= 4096)

        let whole = messages([bytes[...]])
        let half = bytes.count / 2
        precondition(messages([bytes[..<half], bytes[half...]]) == whole)
        for message in whole ?? [] { precondition(message.payload.count <= AgentMessage.payloadLimit) }
    }

    /// - Returns: `nil` where the guest is no agent.
    private static func messages(_ parts: [ArraySlice<UInt8>]) -> [AgentMessage]? {
        var parser = AgentMessageParser()
        var messages: [AgentMessage] = []
        do {
            for part in parts {
                parser.append(part)
                while let message = try parser.next() { messages.append(message) }
            }
        } catch {
            return nil
        }
        return messages
    }
}
