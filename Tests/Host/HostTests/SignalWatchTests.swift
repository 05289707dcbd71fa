// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Host
import SystemPackage
import Testing

@Suite struct SignalWatchTests {
    @Test func `a signal is told from the moment on that it is watched, and ends nobody`() throws {
        // One that nothing else in this process uses.
        let number = SIGUSR2
        let seen = DispatchSemaphore(value: 0)
        try SignalWatch([number]) { signal in if signal == number { seen.signal() } }
        for _ in 0..<100 {
            kill(getpid(), number)
            try #require(seen.wait(timeout: .now() + 60) == .success)
        }
    }

    @Test func `what cannot be caught is refused`() {
        #expect(throws: Errno.invalidArgument) { try SignalWatch([SIGKILL]) { _ in } }
        #expect(throws: Errno.invalidArgument) { try SignalWatch([1000]) { _ in } }
    }
}
