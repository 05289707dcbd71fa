// SPDX-License-Identifier: Apache-2.0

import CHost
import CHostileCode
import Glibc
import Host
import SystemPackage
import TestSupport
import Testing

/// The layers that a process and its threads enter, each in a process of its own; `HostileCodeTests` has the attempts to leave them.
@Suite(.enabled(if: Sandbox.hasFilters, "a sanitizer makes calls of its own"))
struct SandboxTests {
    /// Waits until the first thread of this process sleeps for good, as Dispatch has it do where `main` is asynchronous.
    ///
    /// On its way there it makes calls that a machine's process never makes, and a sandbox that covers it would end the process.
    private static func awaitFirstThread() throws {
        try Deadline.wait(for: "the first thread to sleep") {
            let call = try? FileContents.text(of: FilePath("/proc/self/task/\(getpid())/syscall"), limit: 256)
            // rt_sigsuspend.
            return call?.hasPrefix("130 ") ?? true
        }
    }

    /// Enters with a thread of this name.
    private static func enter(_ name: String, _ mode: Sandbox.Mode = .on, opening folders: [FilePath] = []) throws {
        try awaitFirstThread()
        var settings = Sandbox.Settings()
        (settings.mode, settings.openedFolders) = (mode, folders)
        let sandbox = Sandbox(settings)
        try sandbox.enter(log: nil)
        sandbox.restrictThread(name)
    }

    @Test func `a machine's own threads start no program`() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            try Self.enter("control")
            _ = unsafe execve("/bin/true", [nil], [nil])
        }
    }

    @Test func `a vCPU, a device and the API's server open no file`() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            try Self.enter("http", opening: ["/"])
            _ = unsafe open("/etc/passwd", O_RDONLY)
        }
        await #expect(processExitsWith: .signal(SIGSYS)) {
            try Self.enter("vcpu 0")
            _ = unsafe open("/etc/passwd", O_RDONLY)
        }
        await #expect(processExitsWith: .signal(SIGSYS)) {
            try Self.enter("vda")
            _ = unsafe open("/etc/passwd", O_RDONLY)
        }
    }

    @Test(.enabled(if: ProcessRights.landlockVersion != nil, "needs Landlock"))
    func `other threads open files only where the machine has an API`() async {
        await #expect(processExitsWith: .success) {
            try Self.enter("control")
            guard unsafe open("/etc/passwd", O_RDONLY) < 0, errno == EACCES else { _exit(1) }
            _exit(0)
        }
        await #expect(processExitsWith: .success) {
            try Self.enter("requests", opening: ["/"])
            _exit(unsafe open("/etc/passwd", O_RDONLY) < 0 ? 1 : 0)
        }
    }

    @Test func `the process has no rights to gain, and shows them`() async {
        await #expect(processExitsWith: .success) {
            try Self.enter("main", opening: ["/"])
            guard let rights = ProcessRights(of: chostile_thread_id()) else { _exit(2) }
            let isRestricted = rights.filterCount > 0 && rights.gainsNoPrivileges
            _exit(isRestricted && rights.capabilities == "0000000000000000" ? 0 : 1)
        }
    }

    @Test func `a log of calls lets them through, and a sandbox that is off changes nothing`() async {
        await #expect(processExitsWith: .success) {
            try Self.enter("main", .log, opening: ["/"])
            _exit(socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0) < 0 ? 1 : 0)
        }
        await #expect(processExitsWith: .success) {
            try Self.enter("vcpu 0", .off)
            _exit(unsafe open("/etc/passwd", O_RDONLY) < 0 ? 1 : 0)
        }
    }

    @Test func `a thread that has run a guest may sleep, as Dispatch's free threads do`() async {
        await #expect(processExitsWith: .success) {
            try Self.enter("vcpu 0")
            var time = timespec(tv_sec: 0, tv_nsec: 1)
            _exit(unsafe clock_nanosleep(CLOCK_REALTIME, 0, &time, nil))
        }
    }

    @Test func `threads that run guests and devices have few calls`() {
        #expect(Sandbox.ThreadKind.vcpu.callCount <= 27)
        #expect(Sandbox.ThreadKind.device.callCount <= 46)
        #expect(Sandbox.ThreadKind.vsock.callCount <= 50)
        #expect(Sandbox.ThreadKind.api.callCount <= 31)
    }

    @Test func `calls have names`() {
        for (number, name) in [(0, "read"), (59, "execve"), (334, "rseq"), (335, "?"), (435, "clone3"), (9999, "?")] {
            let shown = unsafe String(cString: chost_system_call_name(CInt(number)))
            #expect(shown == name)
        }
    }

    @Test func `a user is a name, a number or two, and not root`() {
        #expect(HostUser("1234")?.groupID == 1234)
        #expect(HostUser("1234:5")?.groupID == 5)
        #expect(HostUser("nobody")?.userID == 65534)
        for text in ["", "root", "0", "0:5", "1:2:3", "-1", "4294967295", "no such user"] {
            #expect(HostUser(text) == nil)
        }
    }
}
