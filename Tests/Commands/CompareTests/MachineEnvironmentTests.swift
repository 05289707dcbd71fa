// SPDX-License-Identifier: Apache-2.0

import Host
import JSON
import SystemPackage
import TestSupport
import Testing

@testable import Compare

/// The command that starts a machine, seen by a program in the monitor's place.
@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct MachineEnvironmentTests {
    private let folder: TemporaryFolder
    private let environment: MachineEnvironment
    private let restoredEnvironment: RestoredEnvironment

    init() throws {
        folder = try TemporaryFolder()
        let monitor = "\(folder.path)/monitor"
        let script = """
            #!/bin/sh
            case "$*" in
            *--name*) echo "$*" >&2; for last; do :; done; cat "$last" >&2; echo >&2; echo point; exit ;;
            *--restore*) cat "${5%/*}"/snapshot*.log ;;
            esac
            echo "$*"
            for last; do :; done
            case $last in *.json) cat "$last"; echo ;; esac

            """
        try Files.write(script.utf8, to: monitor, mode: FilePermissions(rawValue: 0o755))
        for name in ["compare-subject", "compare-init"] { try Files.write("x".utf8, to: "\(folder.path)/\(name)") }
        let work = try WorkFolder()
        environment = try MachineEnvironment(
            images: MachineImages(monitor: monitor, kernel: "/vmlinux", parameters: ["noapic"]),
            version: "0",
            emptyDisk: "\(folder.path)/compare-init",
            Workplace(
                userSpace: try UserSpace(images: folder.path, workload: nil, in: work),
                folder: work,
                interruption: .never
            )
        )
        restoredEnvironment = RestoredEnvironment(of: environment)
    }

    private func lines(_ job: Job, restored isRestored: Bool = false) throws -> [String] {
        let environment: any ComparedEnvironment = isRestored ? restoredEnvironment : environment
        var lines: [String] = []
        // A child that another test starts has what was open for writing, until it runs its own program.
        try Deadline.wait(for: "a monitor that nobody writes") {
            do throws(ComparisonError) {
                try environment.run(job, within: 60) { lines.append($0.text) }
            } catch {
                guard case .system(_, let errno) = error, errno == .textFileBusy else { throw error }
                return false
            }
            return true
        }
        return lines
    }

    @Test func `a machine is started by martlet run, with its program after the kernel's parameters`() throws {
        let line = try #require(try lines(Job("hello")).first)
        #expect(line.hasPrefix("run --escape none /vmlinux --initrd "))
        #expect(line.hasSuffix(" --memory 128M --cmdline noapic -- /bin/subject hello"))
    }

    @Test func `one of many machines is started by a file, which makes it a process of the monitor's own program`()
        throws
    {
        let lines = try lines(Job("idle", isOneOfMany: true))
        #expect(lines.first?.hasPrefix("run --escape none --config ") == true)
        let text = try #require(lines.last)
        guard case .object(let machine) = try JSONValue(parsing: Array(text.utf8)),
            case .object(let source) = machine["boot-source"]
        else {
            Issue.record("\(text)")
            return
        }
        #expect(source["kernel_image_path"] == "/vmlinux")
        #expect(source["boot_args"] == "noapic -- /bin/subject idle")
        #expect(machine["machine-config"] == ["vcpu_count": 1, "mem_size_mib": 128])
        #expect(machine["entropy"] == [:])
    }

    @Test func `a restored machine was saved before its program, once for all of its kind`() throws {
        let (first, second) = (try lines(Job("hello"), restored: true), try lines(Job("hello"), restored: true))
        let line = try #require(first.last)
        #expect(line.hasPrefix("run --escape none --restore /") && line == second.last)
        #expect(first.contains { $0.contains("\"boot_args\"") && $0.contains("noapic -- --point /bin/subject hello") })
        #expect(first.contains { $0.contains("\"snapshot_point\"") })
        // One boot, also for the second.
        #expect(second.count { $0.hasPrefix("run --escape none --name point --config ") } == 1)
    }

    @Test func `a machine with data gets a disk of its own, which is gone with it`() throws {
        let line = try #require(try lines(Job("disk", .dataFolder, needsData: true)).first)
        let disk = try #require(line.split(separator: " ").first { $0.contains(".ext4") }?.split(separator: ",").first)
        #expect(line.hasSuffix(" -- --data /bin/subject disk /data"))
        #expect(!FilePath(String(disk)).exists)
    }
}
