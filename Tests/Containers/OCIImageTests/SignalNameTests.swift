// SPDX-License-Identifier: Apache-2.0

import OCIImage
import Testing

struct SignalNameTests {
    @Test(
        arguments: [
            ("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGQUIT", 3), ("SIGRTMIN+3", 37), ("RTMIN", 34),
            ("SIGRTMAX-1", 63),
            ("64", 64),
        ] as [(String, CInt)]
    )
    func `a signal has the number that images mean`(name: String, number: CInt) {
        #expect(SignalName.number(name) == number)
    }

    @Test(arguments: ["", "0", "65", "-1", "SIG", "SIGNOTHING", "RTMIN-1", "RTMIN+99", "SIGRTMIN+x"])
    func `anything else is no signal`(name: String) {
        #expect(SignalName.number(name) == nil)
    }
}
