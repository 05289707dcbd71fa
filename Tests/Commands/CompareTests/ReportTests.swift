// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Compare

@Suite struct ReportTests {
    // MARK: - Verdict

    @Test func `the verdict is made of the numbers`() {
        let sentences = Verdict(ResultFixture.result()).sentences
        let startup = """
            Start-up to the first output: process 1.00 ms, container 20.0 ms (20.0×), virtual machine 250 ms (250×), \
            restored machine 10.0 ms (10.0×).
            """
        #expect(sentences.first?.hasPrefix(startup) == true)
        #expect(sentences.first?.contains("a matter of milliseconds, not of minutes.") == true)
        let restored = " From a snapshot it is there in 10.0 ms, 25.0× faster and at 0.50× of the container's time."
        #expect(sentences.first?.hasSuffix(restored) == true)
        #expect(
            sentences.contains { $0.contains("virtual machine 19.1 MiB, so about 1000 in this host's free memory") }
        )
        #expect(sentences.contains { $0.hasPrefix("Attempts that reached the host: process 1 of 1, container 0 of 1") })
    }

    @Test func `an interpreting host is said first and beside every number that it distorts`() {
        let result = ResultFixture.result(interprets: true)
        let sentences = Verdict(result).sentences
        #expect(sentences.first?.hasPrefix("This host interprets guest kernels.") == true)
        #expect(sentences.dropFirst().first?.contains("virtual machine 250 ms † (250×)") == true)
        let terminal = TerminalReport(result, width: 120).text
        #expect(terminal.hasPrefix("! This host has no VT-x or AMD-V"))
        #expect(terminal.contains("250 ms ±20% † = 250×"))
        #expect(!TerminalReport(ResultFixture.result(), width: 120).text.contains("†"))
    }

    @Test func `without numbers there is no verdict`() {
        var result = ResultFixture.result()
        result.sections = []
        #expect(Verdict(result).sentences == [])
    }

    // MARK: - Terminal

    @Test(arguments: [60, 80, 150])
    func `no line is wider than the terminal`(width: Int) {
        var result = ResultFixture.result(containerProblem: "neither crun nor runc is installed: apt-get install crun")
        let identifier = Cell.text("e7dd18e9-aace-46b3-8d2c-00e6dc842099-e7dd18e9-aace-46b3-8d2c-00e6dc842099")
        let row = Row(title: "boot id", cells: [.process: identifier, .machine: identifier])
        result.sections.append(Section(topic: .kernel, explanation: "Ids.", rows: [row]))
        let lines = TerminalReport(result, width: width).text.split(separator: "\n")
        #expect(lines.allSatisfy { $0.count <= width })
    }

    @Test func `a table has no column of an environment that the topic does not compare`() {
        let result = ResultFixture.result()
        #expect(result.kinds(of: ResultFixture.startup(false)) == [.process, .container, .machine, .restored])
        #expect(result.kinds(of: ResultFixture.isolation) == [.process, .container, .machine])
    }

    @Test func `a missing environment is named with its reason`() {
        let text = TerminalReport(ResultFixture.result(containerProblem: "no runtime"), width: 100).text
        #expect(text.contains("! No container: no runtime."))
    }

    // MARK: - JSON

    @Test func `JSON has every sample, what is distorted and what is extrapolated`() {
        let text = JSONReport(ResultFixture.result(interprets: true)).text
        let words = text.split { $0.isWhitespace }.joined(separator: " ")
        #expect(words.contains("\"samples\": [ 0.001, 0.001, 0.002 ]"))
        #expect(words.contains("\"timesProcess\": 250,"))
        #expect(words.contains("\"distorted\": true"))
        #expect(words.contains("\"limitIsExtrapolated\": true"))
        #expect(words.contains("\"outcome\": \"reached the host\""))
    }

    // MARK: - Page

    @Test func `the page loads nothing and escapes what comes from outside`() {
        let text = HTMLReport(ResultFixture.result(interprets: true)).text
        for word in ["http:", "https:", "<script", "<link", "<img", "@import", "url(/", "src="] {
            #expect(!text.contains(word), "\(word)")
        }
        #expect(text.contains("martlet &lt;1&gt;"))
        #expect(text.contains("How &lt;long&gt; it takes."))
        #expect(text.contains("prefers-color-scheme: dark"))
    }

    @Test func `the mark of distorted numbers never begins a line of the page`() {
        let text = HTMLReport(ResultFixture.result(interprets: true)).text
        #expect(text.contains("\u{a0}†"))
        #expect(!text.contains(" †"))
    }

    @Test func `the page is well-formed and has a chart for each topic with numbers`() throws {
        let text = HTMLReport(ResultFixture.result()).text
        for tag in ["section", "figure", "svg", "table", "tr", "td", "th", "ul", "li", "text", "div", "p"] {
            let opened = text.count(of: "<\(tag)>") + text.count(of: "<\(tag) ")
            #expect(opened == text.count(of: "</\(tag)>"), "\(tag)")
        }
        #expect(text.count(of: "<figure>") == 3)
    }

    @Test func `page and data go into the folder, which is made`() throws {
        let folder = try TemporaryFolder()
        try HTMLReport(ResultFixture.result()).write(to: folder.path)
        #expect(try folder.names().sorted() == ["comparison.json", "index.html"])
        #expect(throws: ComparisonError.self) { try HTMLReport.prepare("/proc/nowhere") }
    }

    @Test(arguments: [
        ([0.001, 10.0], true), ([100.0, 190.0], false), ([5.0], false), ([], false), ([1.0, 20.5], true),
    ])
    func `a scale shows all values between its ends`(values: [Double], isLogarithmic: Bool) {
        let scale = Scale(values)
        #expect(scale.isLogarithmic == isLogarithmic)
        #expect(values.allSatisfy { scale.position($0) > 0 && scale.position($0) <= 1 })
        #expect((1...9).contains(scale.ticks.count))
    }
}

extension String {
    fileprivate func count(of part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: part) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
