// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

@testable import Compare

@Suite struct ContainerBundleTests {
    @Test func `limits are in the configuration only when they are given`() {
        var bundle = ContainerBundle(root: "/r", command: ["/bin/subject"])
        #expect(!bundle.configuration.text.contains("\"pids\""))
        bundle.limits = Job.Limits(memoryByteCount: 64 << 20, processCount: 50)
        let text = bundle.configuration.text
        #expect(text.contains("\"memory\":{\"limit\":67108864}"))
        #expect(text.contains("\"pids\":{\"limit\":50}"))
    }

    @Test func `the seccomp filter can be left out`() {
        var bundle = ContainerBundle(root: "/r", command: ["/bin/subject"])
        #expect(bundle.configuration.text.contains("SCMP_ACT_ERRNO"))
        bundle.hasSeccomp = false
        #expect(!bundle.configuration.text.contains("SCMP"))
    }
}
