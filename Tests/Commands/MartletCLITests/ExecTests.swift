// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import SystemPackage
import TestSupport
import Testing

/// Programs in a running machine, and files to and from it, by the guest's agent.
@Suite(.enabled(if: HostKVM.isUsable && GuestImages.isExpected, "\(HostKVM.reason)"))
struct ExecTests {
    /// One boot for all of it.
    @Test func `programs run in a machine with a name, files go there and back, and its processes are listed`() throws {
        let machines = try NamedMachines()
        #expect(try machines.martlet("run", "--name", "box", "--detach").runToEnd().termination == .exited(0))
        func exec(_ arguments: String...) throws -> Martlet.Result {
            try machines.martlet(["exec", "box"] + arguments).runToEnd(within: LinuxShell.patience)
        }
        // Waits for the boot.
        let first = try exec("sh", "-c", "echo out; echo err >&2; exit 3")
        #expect(first.termination == .exited(3) && first.text == "out\n")
        #expect(first.messages.contains("err"))
        #expect(try exec("nosuch").termination == .exited(127))
        #expect(try exec("/etc").termination == .exited(126))
        #expect(try exec("sh", "-c", "kill -9 $$").termination == .exited(137))

        let folder = try TemporaryFolder()
        let file = try folder.write(Array("from the host".utf8), to: "file")
        #expect(try machines.run("cp", file, "box:/tmp/there").termination == .exited(0))
        #expect(try exec("cat", "/tmp/there").text == "from the host")
        #expect(try machines.run("cp", "box:/tmp/there", "\(folder.path)/back").termination == .exited(0))
        #expect(try FileContents.bytes(of: FilePath("\(folder.path)/back"), limit: 100) == Array("from the host".utf8))
        let top = try machines.run("top", "box")
        #expect(top.termination == .exited(0) && top.text.contains("/sbin/init"))
    }
}
