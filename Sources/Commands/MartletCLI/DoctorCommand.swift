// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Machine
import SystemPackage

/// `martlet doctor`: checks this host's KVM.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Show what this host's KVM can do, what is missing and how to fix it.",
        discussion: "The exit status is 0 when machines can run here, else 1."
    )

    func run() throws {
        let report = HostReport()
        for finding in report.findings {
            show(finding)
        }
        show(defaultGuest)
        printAnswer()
        printAnswer(report.isUsable ? "Machines can run here." : "No machine can run here: fix what is marked FAIL.")
        if !report.isUsable { throw ExitCode.failure }
    }

    private var defaultGuest: HostReport.Finding {
        do {
            return .init(.good, "default guest", try DefaultGuest.find(vcpuCount: 1).kernel.string)
        } catch {
            return .init(.note, "default guest", "\(error)")
        }
    }

    private func show(_ finding: HostReport.Finding) {
        func padded(_ text: String, to width: Int) -> String {
            text + String(repeating: " ", count: max(1, width - text.count))
        }
        printAnswer(padded(finding.verdict.rawValue, to: 6) + padded(finding.subject, to: 15) + finding.detail)
    }
}
