// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import Host
import TestSupport
import Testing

/// Hostile code in a process that has entered the sandbox: each attempt runs in a process of its own.
@Suite(.enabled(if: chost_has_filters() != 0, "a sanitizer makes calls of its own"))
struct SandboxTests {
    /// Enters with a thread of this kind.
    private static func enter(_ name: String) throws {
        let sandbox = Sandbox(Sandbox.Settings(), opensFiles: false)
        try sandbox.enter(log: nil)
        sandbox.restrictThread(name)
    }

    @Test func `a program is started by no thread`() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            try Self.enter("control")
            _ = syscall(number: 59)  // execve
        }
        await #expect(processExitsWith: .signal(SIGSYS)) {
            try Self.enter("control")
            _ = syscall(number: 57)  // fork
        }
    }

    @Test func `no other process is traced or read`() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            try Self.enter("control")
            _ = syscall(number: 101)  // ptrace
        }
        await #expect(processExitsWith: .signal(SIGSYS)) {
            try Self.enter("control")
            _ = syscall(number: 310)  // process_vm_readv
        }
    }

    @Test func `no thread makes an Internet socket`() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            try Self.enter("control")
            _ = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        }
    }

    @Test func `no memory becomes code`() async {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            try Self.enter("control")
            _ = unsafe mmap(nil, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        }
    }

    @Test func `a vCPU and a device open no file`() async {
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
            let sandbox = Sandbox(Sandbox.Settings(), opensFiles: true)
            try sandbox.enter(log: nil)
            sandbox.restrictThread("http")
            _exit(unsafe open("/etc/passwd", O_RDONLY) < 0 ? 1 : 0)
        }
    }

    @Test func `the process has no rights to gain, and shows them`() async {
        await #expect(processExitsWith: .success) {
            try Sandbox(Sandbox.Settings(), opensFiles: true).enter(log: nil)
            guard let rights = ProcessRights(of: CInt(syscall(number: 186))) else { _exit(2) }  // gettid
            let isRestricted = rights.filterCount > 0 && rights.gainsNoPrivileges
            _exit(isRestricted && rights.capabilities == "0000000000000000" ? 0 : 1)
        }
    }

    @Test func `a log of calls lets them through, and a sandbox that is off changes nothing`() async {
        await #expect(processExitsWith: .success) {
            var settings = Sandbox.Settings()
            settings.mode = .log
            try Sandbox(settings, opensFiles: true).enter(log: nil)
            _exit(socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0) < 0 ? 1 : 0)
        }
        await #expect(processExitsWith: .success) {
            var settings = Sandbox.Settings()
            settings.mode = .off
            let sandbox = Sandbox(settings, opensFiles: false)
            try sandbox.enter(log: nil)
            sandbox.restrictThread("vcpu 0")
            _exit(unsafe open("/etc/passwd", O_RDONLY) < 0 ? 1 : 0)
        }
    }

    @Test func `threads that run guests and devices have few calls`() {
        #expect(Sandbox.ThreadKind.vcpu.callCount <= 27)
        #expect(Sandbox.ThreadKind.device.callCount <= 60)
        #expect(Sandbox.ThreadKind.api.callCount <= 80)
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

private func syscall(number: Int) -> Int {
    // A call without arguments that mean anything: the filter looks at its number first.
    Int(chost_raw_call(CInt(number)))
}
