// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Host
import Synchronization
import SystemPackage
import Testing

@Suite struct ProcessTests {
    /// The standard output of a shell's script, which gets `extra` as descriptor 3.
    private func output(of script: String, extra: FileDescriptor? = nil, session: Bool = false) throws -> String {
        let (read, write) = try FileDescriptor.pipe()
        defer { try? read.close() }
        var launch = ProcessLaunch("/bin/sh", arguments: ["-c", script])
        launch.descriptors = [nil, write, .standardError] + (extra.map { [$0] } ?? [])
        launch.environment = ["PATH=/usr/bin:/bin"]
        launch.startsSession = session
        launch.folder = "/"
        let process = try launch.start()
        try write.close()
        let bytes = try FileContents.bytes(of: read, limit: 1 << 20, kind: .any)
        #expect(process.takeStatus() == 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func `a child gets the listed descriptors and no other, even one that is not closed on exec`() throws {
        let leaked = FileDescriptor(rawValue: dup(2))
        defer { try? leaked.close() }
        let numbers = try output(of: "ls /proc/$$/fd; true", extra: .standardError)
        #expect(Set(numbers.split(separator: "\n").compactMap { Int($0) }) == [0, 1, 2, 3])
    }

    @Test func `a child has its folder, its environment and a session of its own`() throws {
        let text = try output(of: "pwd; echo $PATH; cut -d' ' -f6 /proc/$$/stat; echo $$", session: true)
        let lines = text.split(separator: "\n")
        #expect(lines.prefix(2) == ["/", "/usr/bin:/bin"])
        #expect(lines[2] == lines[3])
    }

    @Test func `a child has no signal blocked or ignored`() throws {
        // One that nothing else in this process cares for.
        signal(SIGURG, SIG_IGN)
        defer { signal(SIGURG, SIG_DFL) }
        let text = Mutex("")
        // Every asynchronous signal is blocked there.
        let thread = try HostThread("test") {
            let output = try? output(of: "grep -E 'Sig(Blk|Ign)' /proc/self/status")
            text.withLock { $0 = output ?? "" }
        }
        thread.join()
        let sets = text.withLock { $0 }.split(separator: "\n").compactMap { $0.split(separator: "\t").last }
        // Signals 32 and 33 are the C library's own.
        #expect(sets.map { UInt64($0, radix: 16).map { $0 & 0x7fff_ffff } } == [0, 0])
    }

    @Test func `a program that is not there is an error, and leaves no child`() {
        #expect(throws: Errno.noSuchFileOrDirectory) { _ = try ProcessLaunch("/nowhere/program").start() }
        #expect(throws: Errno.permissionDenied) { _ = try ProcessLaunch("/etc/passwd").start() }
    }

    @Test func `a process is signalled by what refers to it, and not once it has ended`() throws {
        var launch = ProcessLaunch("/bin/sh", arguments: ["-c", "exec sleep 600"])
        launch.descriptors = [nil, nil, nil]
        let process = try launch.start()
        let again = try RunningProcess(id: process.id)
        #expect(!again.hasEnded)
        try again.send(SIGKILL)
        #expect(process.waitUntilEnded(timeout: .seconds(60)))
        #expect(process.takeStatus() == 128 | SIGKILL)
        #expect(throws: Errno.noSuchProcess) { try again.send(SIGKILL) }
    }
}

@Suite struct SuccessorProcessTests {
    private static func leave(to body: (SuccessorProcess.Report) -> UInt8) throws {
        try SuccessorProcess.leave(died: "died", unheard: "unheard", to: body)
    }

    @Test func `a process ends as its successor tells, which has its memory and none of its descriptors`() async {
        let result = await #expect(
            processExitsWith: .exitCode(3),
            observing: [\.standardOutputContent, \.standardErrorContent]
        ) {
            let leaked = dup(2)
            let asking = pthread_self()
            let value = Mutex(1)
            try SuccessorProcessTests.leave { report in
                let owns = fcntl(leaked, F_GETFD) == 0
                let isOther = pthread_equal(pthread_self(), asking) == 0
                value.withLock { $0 += 1 }
                report.tell(
                    status: 3,
                    messages: "\(getsid(0) == getpid()) \(owns)",
                    answer: "\(isOther) \(value.withLock { $0 })"
                )
                // Later words, and the end, are nobody's business.
                report.tell(status: 4)
                return 5
            }
        }
        #expect(result?.standardErrorContent.contains(Array("true false".utf8)[...]) == true)
        #expect(result?.standardOutputContent.contains(Array("true 2".utf8)[...]) == true)
    }

    @Test func `a process goes on where its successor did nothing`() async {
        await #expect(processExitsWith: .success) {
            var calls = 0
            try SuccessorProcessTests.leave { _ in
                calls += 1
                return 0
            }
            #expect(calls == 1)
        }
    }

    @Test(arguments: [false, true])
    func `a successor that fails without a word has its last words said`(isKilled: Bool) async {
        let result = await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) { [isKilled] in
            try SuccessorProcessTests.leave { _ in
                if isKilled { kill(getpid(), SIGKILL) }
                return 7
            }
        }
        #expect(result?.standardErrorContent.contains(Array("died".utf8)[...]) == true)
    }

    @Test func `of those who tell at once the first is heard, and the others wait for it`() async {
        let result = await #expect(processExitsWith: .exitCode(3), observing: [\.standardErrorContent]) {
            try SuccessorProcessTests.leave { report in
                let (begins, tells) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
                // Dispatch counts the worker threads of the parent, and would wait for them: this process does not have them.
                let other = try? HostThread("other") {
                    begins.wait()
                    tells.signal()
                    _exit(report.tell(status: 4, messages: "second") ? 1 : 2)
                }
                defer { withExtendedLifetime(other) {} }
                report.tell(status: 3, messages: "first") {
                    begins.signal()
                    tells.wait()
                }
                while true { pause() }
            }
        }
        #expect(result?.standardErrorContent.contains(Array("first".utf8)[...]) == true)
    }

    @Test func `an answer that nobody can hear is an error`() async {
        let result = await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) {
            dup2(unsafe open("/dev/full", O_WRONLY | O_CLOEXEC), 1)
            try SuccessorProcessTests.leave { report in
                report.tell(answer: "ready")
                return 0
            }
        }
        #expect(result?.standardErrorContent.contains(Array("unheard".utf8)[...]) == true)
    }
}

@Suite struct ProcessStartTests {
    @Test func `closed standard descriptors lead to nothing before another file gets their numbers`() async {
        await #expect(processExitsWith: .success) {
            close(0)
            close(2)
            try ProcessStart.prepare()
            let next = dup(1)
            #expect(next > 2)
            #expect(try FileContents.bytes(of: .standardInput, limit: 1, kind: .any) == [])
            // A command whose answer goes nowhere must not take it for written.
            #expect(throws: Errno.badFileDescriptor) { try FileDescriptor.standardError.write(all: "nowhere".utf8) }
        }
    }

    @Test func `a child inherits the environment byte by byte, also what is no UTF-8`() async {
        await #expect(processExitsWith: .success) {
            var entry = [UInt8]("LATIN=?A\0".utf8).map(CChar.init(bitPattern:))
            entry[6] = CChar(bitPattern: 0xe9)
            unsafe putenv(strdup(entry))
            let expected = #"test "$(printf %s "$LATIN" | od -An -tx1)" = ' e9 41'"#
            let shell = try ProcessLaunch("/bin/sh", arguments: ["-c", expected]).start()
            #expect(shell.takeStatus() == 0)
        }
    }

    @Test func `a signal that was ignored stays ignored although it is watched`() async {
        await #expect(processExitsWith: .success) {
            signal(SIGHUP, SIG_IGN)
            #expect(ProcessStart.isIgnored(SIGHUP))
            try SignalWatch([SIGHUP, SIGUSR2]) { signal in if signal == SIGHUP { abort() } }
            #expect(ProcessStart.isIgnored(SIGHUP))
            #expect(!ProcessStart.isIgnored(SIGUSR2))
            kill(getpid(), SIGHUP)
        }
    }
}
