// SPDX-License-Identifier: Apache-2.0

import Testing
import TestSupport

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct DamagedImageTests {
    @Test(arguments: 1...20)
    func `a damaged image ends in words or runs as it may, but never crashes or hangs martlet`(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        var image = TinyELF([.exit(77), .spin]).bytes
        // Of the header and the program header, which are what is parsed.
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            image[Int.random(in: 0..<120, using: &generator)] = .random(in: .min ... .max, using: &generator)
        }
        let folder = try TemporaryFolder()
        var martlet = Martlet(["run", try folder.write(image, to: "image"), "--exit-status-port"])
        martlet.messages = .pipe
        try martlet.run { running in
            running.input.closeOutput()
            var termination: ChildProcess.Termination?
            do {
                termination = try running.process.wait(within: .seconds(20))
            } catch is MissedDeadline {
                // Entered at a wrong place, the guest may run forever; then it can still be stopped.
                running.process.send(15)
            }
            let result = try running.end()
            if termination == nil, result.termination == .signaled(15) { return }
            #expect([.exited(1), .exited(2), .exited(77), .exited(0)].contains(result.termination))
            if result.termination == .exited(1) { #expect(!result.messages.isEmpty) }
        }
    }
}
