// SPDX-License-Identifier: Apache-2.0

import Glibc
import Host
import Storage
import SystemPackage
import Testing
import TestSupport

/// Connections between programs of the host and of a Linux guest.
@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct VsockTests {
    /// One boot for all of it.
    @Test func `programs of guest and host reach each other, and a named machine's socket is in its folder`() throws {
        let kernel = try GuestImages.path("vmlinux")
        let root = try GuestImages.path("testing.ext4")
        let machines = try NamedMachines()
        let command = "nettool echo 1024 & nettool send 2 8000 guest; nettool send 2 8001 x; wait"
        #expect(
            try machines.martlet(
                "run",
                "--name",
                "web",
                "--detach",
                kernel,
                "--disk",
                "\(root),readonly",
                "--cmdline",
                "quiet martlet.run=\"\(command)\""
            ).runToEnd().termination == .exited(0)
        )
        let path = FilePath("\(machines.runtime.path)/web/vsock.sock")
        let listener = try UnixSocket.listen(at: FilePath("\(path)_8000"))
        // Before its boot has come so far, the guest has no driver, and then nobody who listens.
        let end = ContinuousClock.now + LinuxShell.patience
        var echoed = ""
        while echoed.isEmpty, ContinuousClock.now < end {
            echoed = try machines.martlet("vsock", "web", "1024").run { running in
                // It may have ended already: nobody listens yet.
                try? running.input.write("hello from the host")
                running.input.closeOutput()
                return try running.end(within: LinuxShell.patience).text
            }
            if echoed.isEmpty { usleep(200_000) }
        }
        #expect(echoed == "hello from the host")
        let refused = try machines.run("vsock", "web", "1025")
        #expect(refused.termination == .exited(1))
        #expect(refused.messages.contains("no program in the guest listens on port 1025"))

        #expect(!Poll.wait(for: listener.descriptor, .readable, timeout: LinuxShell.patience).isEmpty)
        let connection = try #require(try listener.accept())
        connection.setBlocking(true)
        var (received, buffer): ([UInt8], [UInt8]) = ([], Array(repeating: 0, count: 64))
        while case let count = try connection.receive(into: &buffer), count > 0 { received += buffer.prefix(count) }
        #expect(String(decoding: received, as: UTF8.self) == "guest")
        _ = try connection.send(Array("host".utf8)[...])
        connection.finishSending()
        var log = ""
        // The whole line: a reader may come between two of its bytes.
        try Deadline.wait(for: "the guest's second connection", within: LinuxShell.patience) {
            log = try machines.run("logs", "web").text
            return log.contains(/connect errno \d+\s/)
        }
        #expect(log.contains("got 4 host"))
        // Nobody listens at 8001: ECONNRESET.
        #expect(log.contains("error connect errno 104"))
        #expect(try machines.run("stats", "web").text.contains("vsock: "))
        try machines.run("kill", "web")
        #expect(try !FolderListing.names(in: "\(machines.runtime.path)/web").contains("vsock.sock"))
    }

    @Test func `a machine has no vsock that is not to have one, and one without a name has it where that says`() throws
    {
        let machines = try NamedMachines()
        #expect(try machines.start("bare", [.spin], "--vsock=none").termination == .exited(0))
        let refused = try machines.run("vsock", "bare", "1")
        #expect(refused.messages.contains("machine 'bare' has no vsock"))
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/v.sock"
        #expect(try machines.start("other", [.spin], "--vsock=\(path),cid=9").termination == .exited(0))
        #expect(try folder.names().contains("v.sock"))
        #expect(try machines.run("inspect", "other").text.contains("\"guest_cid\": 9"))
    }
}
