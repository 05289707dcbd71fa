// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Host

struct StringSearchTests {
    @Test(arguments: ["", "a", "abc", "b", "cd", "abcd", "é"])
    func `a text has each of its parts`(part: String) {
        #expect("abcdé".has(part))
        #expect("abcdé"[...].has(part))
    }

    @Test(arguments: ["ac", "abcdéf", "e", "A"])
    func `a text has nothing else`(part: String) {
        #expect(!"abcdé".has(part))
    }

    @Test func `an empty text has the empty one alone`() {
        #expect("".has(""))
        #expect(!"".has("a"))
    }
}
