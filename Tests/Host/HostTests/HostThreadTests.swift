// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Host
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite struct HostThreadTests {
    /// The name that the kernel has for the calling thread.
    private static var currentName: String? {
        (try? FileContents.text(of: "/proc/thread-self/comm", limit: 64)).map { String($0.dropLast()) }
    }

    @Test func `a thread bears its name and blocks what is asynchronous, and join waits for it`() throws {
        let seen = Mutex<(name: String?, blocks: Bool, fails: Bool)?>(nil)
        let thread = try HostThread("vda of a machine") {
            var mask = sigset_t()
            unsafe pthread_sigmask(SIG_BLOCK, nil, &mask)
            let blocks = [SIGTERM, SIGINT, SIGHUP, SIGUSR1].allSatisfy { unsafe sigismember(&mask, $0) == 1 }
            let fails = unsafe sigismember(&mask, SIGSEGV) == 1
            seen.withLock { $0 = (Self.currentName, blocks, fails) }
        }
        thread.join()
        let result = try #require(seen.withLock { $0 })
        #expect(result.name == "vda of a machin")
        #expect(result.blocks)
        #expect(!result.fails)
    }

    /// The processors that the kernel lets the calling thread run on, as a bit mask, and the one that it ran on last.
    private static var processors: (allowed: String, last: String)? {
        guard let status = try? FileContents.text(of: "/proc/thread-self/status", limit: 1 << 16),
            let stat = try? FileContents.text(of: "/proc/thread-self/stat", limit: 4096),
            let allowed = status.split(separator: "\n").first(where: { $0.hasPrefix("Cpus_allowed:") }),
            let name = stat.lastIndex(of: ")")
        else { return nil }
        // The name, in parentheses, can have spaces; processor(39) in proc(5).
        return (String(allowed), String(stat[name...].split(separator: " ")[37]))
    }

    @Test func `a thread leaves the first processor for another, and may come back`() throws {
        typealias SetAffinity = @convention(c) (pid_t, Int, UnsafePointer<UInt>) -> CInt
        let setAffinity = try unsafe gnuFunction("sched_setaffinity", as: SetAffinity.self)
        let seen = Mutex<(before: String?, after: String?, isElsewhere: Bool)?>(nil)
        let thread = try HostThread("test") {
            let before = Self.processors?.allowed
            // The kernel may bring it back at once, rarely.
            let isElsewhere = (0..<100).contains { _ in
                unsafe _ = setAffinity(0, 8, [1])
                unsafe _ = setAffinity(0, 8, [.max])
                HostThread.leaveFirstProcessor()
                return Self.processors?.last != "0"
            }
            seen.withLock { $0 = (before, Self.processors?.allowed, isElsewhere) }
        }
        thread.join()
        let result = try #require(seen.withLock { $0 })
        #expect(result.before != nil && result.before == result.after)
        #expect(result.isElsewhere || result.before?.hasSuffix("\t1") == true)
    }

    @Test func `what a thread captured is gone when it has ended`() throws {
        final class Captured: Sendable {}
        var captured: Captured? = Captured()
        weak let weakly = captured
        let thread = try HostThread("test") { [captured] in withExtendedLifetime(captured) {} }
        captured = nil
        thread.join()
        #expect(weakly == nil)
    }

    @Test func `a thread of somebody else's has another name for a while`() {
        let names = Mutex<[String?]>([])
        DispatchQueue(label: "test").sync {
            let before = Self.currentName
            HostThread.withName("vcpu 0") { names.withLock { $0.append(Self.currentName) } }
            names.withLock { $0.append(Self.currentName == before ? "restored" : Self.currentName) }
        }
        #expect(names.withLock { $0 } == ["vcpu 0", "restored"])
    }

    @Test(.enabled(if: Sandbox.hasFilters, "a sanitizer's own memory is beyond the limit"))
    func `a thread without place is an error that names the limit`() async {
        await #expect(processExitsWith: .success) {
            // A stack that no address space holds under the limit.
            var limit = rlimit(rlim_cur: 8 << 30, rlim_max: 8 << 30)
            let result = unsafe setrlimit(CInt(RLIMIT_AS.rawValue), &limit)
            try #require(result == 0)
            let error = #expect(throws: HostThreadError.self) {
                try HostThread("console", stackByteCount: 16 << 30) {}
            }
            let text = "\(try #require(error))"
            #expect(text.contains("'console'"))
            #expect(text.contains("ulimit -v 8388608"))
        }
    }
}

@Suite struct StartGateTests {
    @Test func `threads begin when the gate opens, after each has prepared itself`() throws {
        let prepared = Mutex<Set<String>>([])
        let begun = Atomic<Int>(0)
        let gate = StartGate { name in prepared.withLock { _ = $0.insert(name) } }
        let threads = try ["vda", "vdb", "console"].map { name in
            try HostThread(name, gate: gate) { begun.wrappingAdd(1, ordering: .relaxed) }
        }
        try gate.waitForAll(within: .seconds(60))
        #expect(prepared.withLock { $0 } == ["vda", "vdb", "console"])
        #expect(begun.load(ordering: .relaxed) == 0)
        #expect(gate.open())
        for thread in threads { thread.join() }
        #expect(begun.load(ordering: .relaxed) == 3)
    }

    @Test func `a thread that does not come is named, and those that came go home`() throws {
        let begun = Atomic<Int>(0)
        let gate = StartGate()
        let thread = try HostThread("vda", gate: gate) { begun.wrappingAdd(1, ordering: .relaxed) }
        let ticket = gate.expect("vcpu 7")
        let error = #expect(throws: HostThreadError.self) { try gate.waitForAll(within: .milliseconds(100)) }
        #expect("\(try #require(error))".contains("'vcpu 7'"))
        gate.close()
        thread.join()
        // One that comes too late has nothing to do either.
        #expect(!gate.enter(ticket))
        #expect(!gate.open())
        #expect(begun.load(ordering: .relaxed) == 0)
    }

    @Test func `a thread of Dispatch's is prepared once the gate is open, before any of them passes`() throws {
        let prepared = Mutex<Set<String>>([])
        let (gate, names) = (StartGate { name in prepared.withLock { _ = $0.insert(name) } }, ["vcpu 0", "vcpu 1"])
        let passed = Mutex<[Set<String>]>([])
        let threads = try names.map { name in
            let ticket = gate.expect(name, isBorrowed: true)
            return try HostThread(name) {
                guard gate.enter(ticket) else { return }
                passed.withLock { $0.append(prepared.withLock { $0 }) }
            }
        }
        try gate.waitForAll(within: .seconds(60))
        #expect(prepared.withLock { $0 } == [])
        gate.open()
        for thread in threads { thread.join() }
        #expect(passed.withLock { $0 } == [Set(names), Set(names)])
    }

    @Test func `a thread of Dispatch's goes back unprepared when the gate is closed`() throws {
        let isPrepared = Atomic(false)
        let gate = StartGate { _ in isPrepared.store(true, ordering: .relaxed) }
        let ticket = gate.expect("vcpu 0", isBorrowed: true)
        gate.close()
        #expect(!gate.enter(ticket))
        let wasPrepared = isPrepared.load(ordering: .relaxed)
        #expect(!wasPrepared)
    }

    @Test func `whoever waits goes on when the gate is closed meanwhile`() throws {
        let gate = StartGate()
        _ = gate.expect("never")
        let closer = try HostThread("closer") { gate.close() }
        try gate.waitForAll(within: .seconds(600))
        closer.join()
        #expect(!gate.open())
        // Nor does anybody wait for one that is announced later.
        _ = gate.expect("late")
        try gate.waitForAll(within: .seconds(600))
    }
}

@Suite struct WorkThreadTests {
    @Test func `work is done in its order, also what came before the start and before the end`() throws {
        let seen = Mutex<[Int]>([])
        let thread = WorkThread("test")
        for number in 0..<10 { thread.run { seen.withLock { $0.append(number) } } }
        try thread.start()
        for number in 10..<100 { thread.run { seen.withLock { $0.append(number) } } }
        thread.finish()
        #expect(!thread.run { seen.withLock { $0.append(-1) } })
        thread.join()
        #expect(seen.withLock { $0 } == Array(0..<100))
    }

    @Test func `timers fire in the order of their times, once each`() throws {
        let seen = Mutex<[String]>([])
        let done = DispatchSemaphore(value: 0)
        let thread = WorkThread("test")
        let late = thread.makeTimer {
            seen.withLock { $0.append("late") }; done.signal()
        }
        let early = thread.makeTimer { seen.withLock { $0.append("early") } }
        let never = thread.makeTimer { seen.withLock { $0.append("never") } }
        never.schedule(after: .zero)
        late.schedule(after: .milliseconds(40))
        // Each order takes the place of the one before.
        for _ in 0..<1000 { early.schedule(after: .seconds(3600)) }
        early.schedule(after: .milliseconds(20))
        never.schedule(after: nil)
        try thread.start()
        done.wait()
        #expect(seen.withLock { $0 } == ["early", "late"])
        thread.finish()
        thread.join()
    }
}
