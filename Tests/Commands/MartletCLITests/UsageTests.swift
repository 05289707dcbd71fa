// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import TestSupport

@Suite struct UsageTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let arguments: [String]
        let words: String

        init(_ arguments: String..., says words: String) {
            self.init(arguments, says: words)
        }

        init(_ arguments: [String], says words: String) {
            self.arguments = arguments
            self.words = words
        }

        var testDescription: String { arguments.joined(separator: " ") }
    }

    static let wrongUsage = [
        Case("run", "--cpus", "0", says: "--cpus: must be 1 to 32"),
        Case("run", "--cpus", "33", says: "--cpus: must be 1 to 32"),
        Case("run", "--cpus", "-1", says: "--cpus"),
        Case("run", "--cpus", "two", says: "--cpus"),
        Case("run", "--memory", "15M", says: "at least 16 MiB"),
        Case("run", "--memory", "0", says: "at least 16 MiB"),
        Case("run", "--memory", "16385k", says: "whole MiB"),
        Case("run", "--memory", "4095T", says: "addresses for"),
        Case("run", "--cmdline", String(repeating: "x", count: 70_000), says: "at most 2047 bytes"),
        Case("run", "--memory", "18446744073709551615T", says: "--memory"),
        Case("run", "--memory", "99999999999999999999999", says: "--memory"),
        Case("run", "--memory", "lots", says: "--memory"),
        Case("run", "--memory", "", says: "--memory"),
        Case("run", "--cmdline", "a", "--cmdline-only", "b", says: "exclude each other"),
        Case("run", "--initrd", "/dev/null", says: "--initrd needs a KERNEL"),
        Case("run", "--escape", "ctrl-1", says: "--escape"),
        Case("run", "--restore", says: "Missing value for '--restore"),
        Case("run", "--restore", "a", "--same-identity", "b", says: "--restore"),
        Case("run", "--escape", "", says: "--escape"),
        Case("run", "--console", "carrier-pigeon", says: "--console"),
        Case("run", "--console", "file:", says: "--console"),
        Case("run", "--entry", "bios", says: "--entry"),
        Case("run", "--disk", "", says: "the path of the disk is missing"),
        Case("run", "--disk", ",readonly", says: "the path of the disk is missing"),
        Case("run", "--disk", "a,sideways", says: "unknown disk option 'sideways'"),
        Case("run", "--disk", "a,readonly=yes", says: "unknown disk option 'readonly=yes'"),
        Case("run", "--disk", "a,engine=steam", says: "unknown engine 'steam'"),
        Case("run", "--disk", "a,iops=0", says: "iops="),
        Case("run", "--disk", "a,iops=99999999999999999999", says: "iops="),
        Case("run", "--disk", "a,bandwidth=fast", says: "bandwidth="),
        Case("run", "--disk", "a,queues=17", says: "queues: must be 1 to 16"),
        Case("run", "--disk", "a,id=", says: "1 to 20 printable"),
        Case("run", "--disk", "a,id=123456789012345678901", says: "1 to 20 printable"),
        Case("run", "--disk", "a,id=two words", says: "printable"),
        Case("run", "--disk", "default", "--disk", "default", says: "only once"),
        Case("run", "kernel", "--keep", "disk", says: "--keep"),
        Case("run", "kernel", "--metadata", "data.json", says: "--metadata needs a network"),
        Case(["run", "kernel"] + (0..<17).flatMap { ["--disk", "disk\($0)"] }, says: "room for 16 disks"),
        Case("run", "--frobnicate", says: "--frobnicate"),
        Case("run", "one", "two", says: "two"),
        Case("frobnicate", says: "frobnicate"),
    ]

    @Test(arguments: wrongUsage)
    func `wrong usage ends with 64 and says what is wrong`(_ usage: Case) throws {
        let result = try Martlet(usage.arguments).runToEnd()
        #expect(result.termination == .exited(64))
        #expect(result.messages.contains(usage.words), "\(result.messages)")
        #expect(result.output.isEmpty)
    }

    @Test(arguments: [["--help"], ["run", "--help"], ["compare", "--help"], ["doctor", "--help"], ["--version"]])
    func `help and version go to standard output and end with 0`(arguments: [String]) throws {
        let result = try Martlet(arguments).runToEnd()
        #expect(result.termination == .exited(0))
        #expect(!result.output.isEmpty)
        #expect(result.messages.isEmpty)
    }

    @Test(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
    func `doctor finds that machines can run here`() throws {
        let result = try Martlet(["doctor"]).runToEnd()
        #expect(result.termination == .exited(0))
        #expect(result.text.contains("Machines can run here."))
        #expect(result.text.contains("/dev/kvm"))
    }
}

/// `docs/man/martlet.1` says all that the command has.
@Suite struct ManualTests {
    private static let manual =
        "\(#filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined())/docs/man/martlet.1"

    private func help(_ arguments: String...) throws -> String {
        let result = try Martlet(arguments).runToEnd()
        #expect(result.termination == .exited(0))
        return result.text
    }

    @Test func `the manual has every command and every option`() throws {
        let manual = String(decoding: try FileContents.read(Self.manual), as: UTF8.self)
        let commands = try help("--help").matches(of: #/(?m)^  ([a-z]+) /#).map(\.1)
        #expect(commands.count > 10)
        for command in commands {
            #expect(manual.contains(".Ss \(command)") || manual.contains(", Cm \(command) "), "\(command)")
            for option in try help(String(command), "--help").matches(of: #/--([a-z-]+)/#).map(\.1) {
                #expect(manual.contains("Fl -\(option)"), "\(command) --\(option)")
            }
        }
    }
}
