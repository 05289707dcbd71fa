// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Compare

@Suite struct IsolationProbesTests {
    struct Case: Sendable {
        let name: String
        let number: Int
        let error: CInt
        let kind: EnvironmentKind
        let outcome: Cell.Outcome
        let words: String
    }

    static let cases = [
        Case(
            name: "processes",
            number: 90,
            error: 1,
            kind: .process,
            outcome: .reachedHost,
            words: "the host's among them"
        ),
        Case(
            name: "processes",
            number: 1,
            error: 0,
            kind: .container,
            outcome: .contained,
            words: "all of them its own"
        ),
        Case(name: "module", number: 0, error: 8, kind: .process, outcome: .reachedHost, words: "the host's kernel"),
        Case(name: "module", number: 0, error: 8, kind: .machine, outcome: .contained, words: "its own kernel"),
        Case(name: "module", number: 0, error: 1, kind: .container, outcome: .contained, words: "EPERM"),
        Case(name: "module", number: 0, error: 38, kind: .machine, outcome: .contained, words: "takes no modules"),
        Case(
            name: "kernel-log",
            number: 77,
            error: 0,
            kind: .container,
            outcome: .reachedHost,
            words: "77 bytes of the host's"
        ),
        Case(name: "clock", number: 0, error: 0, kind: .machine, outcome: .contained, words: "its own clock"),
        Case(name: "disk", number: 0, error: 6, kind: .machine, outcome: .contained, words: "no such disk"),
        Case(name: "disk", number: 0, error: 0, kind: .machine, outcome: .reachedHost, words: "read 512 bytes"),
        Case(name: "sysrq", number: 0, error: 30, kind: .container, outcome: .contained, words: "EROFS"),
        Case(name: "sysrq", number: 0, error: 0, kind: .process, outcome: .reachedHost, words: "not pressed"),
    ]

    @Test(arguments: cases)
    func `what reached the host is told from what met the environment's own kernel`(one: Case) {
        let cell = IsolationProbes.cell(one.name, .init(number: one.number, error: one.error), one.kind)
        #expect(cell.outcome == one.outcome)
        #expect(cell.text(.count).contains(one.words))
    }
}
