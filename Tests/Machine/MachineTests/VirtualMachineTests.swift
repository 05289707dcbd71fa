// SPDX-License-Identifier: Apache-2.0

import Console
import Dispatch
import Glibc
import Host
import LinuxBoot
import Logging
import Machine
import MachineModel
import Synchronization
import SystemPackage
import TestSupport
import Testing

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct VirtualMachineTests {
    private func configuration(_ code: [GuestCode], in folder: TemporaryFolder) throws -> MachineConfiguration {
        let kernel = try folder.write(TinyELF(code).bytes, to: "kernel")
        var configuration = MachineConfiguration(bootSource: BootSource(kernelPath: kernel))
        configuration.size.memoryMiB = 16
        configuration.size.hasExitStatusPort = true
        return configuration
    }

    /// The names that the kernel has for this process's threads.
    private func threadNames() -> Set<String> {
        guard let folder = unsafe opendir("/proc/self/task") else { return [] }
        defer { unsafe closedir(folder) }
        var names: Set<String> = []
        while let entry = unsafe readdir(folder) {
            let number = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            let name = try? FileContents.text(of: FilePath("/proc/self/task/\(number)/comm"), limit: 64)
            if let name { names.insert(String(name.dropLast())) }
        }
        return names
    }

    @Test func `every waiter learns how the machine ended, whenever it asks`() async throws {
        let folder = try TemporaryFolder()
        let machine = try VirtualMachine(.boot(configuration([.exit(5), .spin], in: folder)))
        async let early = machine.wait()
        async let alsoEarly = machine.wait()
        try machine.start()
        #expect(await [early, alsoEarly] == [.exited(5), .exited(5)])
        #expect(await machine.wait() == .exited(5))
    }

    @Test(.timeLimit(.minutes(10)))
    func `the command that stops a machine waits for no reader of its console`() async throws {
        let folder = try TemporaryFolder()
        let pipe = try TestSupport.Pipe()
        let console = ConsoleAttachment(output: FileDescriptor(rawValue: pipe.writeEnd))
        let guest = [GuestCode.forever([GuestCode.countPolitely(byteCount: 255)])]
        let machine = try VirtualMachine(.boot(configuration(guest, in: folder)), console: console)
        try machine.start()
        // More than a pipe holds.
        try Deadline.wait(for: "output") { machine.statistics.console.byteCount >= 96 << 10 }
        machine.commandStop()
        #expect(await machine.wait() == .stopped)
    }

    @Test func `a machine is stopped from any thread, any number of times`() async throws {
        let folder = try TemporaryFolder()
        let machine = try VirtualMachine(.boot(configuration([.spin], in: folder)))
        try machine.start()
        DispatchQueue.concurrentPerform(iterations: 16) { _ in machine.stop() }
        #expect(await machine.wait() == .stopped)
        machine.stop()
        #expect(await machine.wait() == .stopped)
    }

    @Test func `a machine that has ended keeps its outcome`() async throws {
        let folder = try TemporaryFolder()
        let machine = try VirtualMachine(.boot(configuration([.powerOff, .spin], in: folder)))
        try machine.start()
        #expect(await machine.wait() == .poweredOff)
        machine.stop()
        #expect(await machine.wait() == .poweredOff)
    }

    @Test func `INIT to the first processor resets the machine`() async throws {
        let folder = try TemporaryFolder()
        let machine = try VirtualMachine(.boot(configuration([.initFirstProcessor, .spin], in: folder)))
        try machine.start()
        #expect(await machine.wait() == .reset)
    }

    @Test func `a machine that is stopped before its start ends at once`() async throws {
        let folder = try TemporaryFolder()
        let machine = try VirtualMachine(.boot(configuration([.spin], in: folder)))
        machine.stop()
        try machine.start()
        #expect(await machine.wait() == .stopped)
    }

    @Test func `a machine starts once`() async throws {
        let folder = try TemporaryFolder()
        let machine = try VirtualMachine(.boot(configuration([.powerOff, .spin], in: folder)))
        try machine.start()
        #expect(throws: MachineError.startedBefore) { try machine.start() }
        #expect(await machine.wait() == .poweredOff)
    }

    @Test func `a paused machine sends nothing, and goes on when it is resumed`() async throws {
        let folder = try TemporaryFolder()
        let hub = try MachineConsole()
        let machine = try VirtualMachine(
            .boot(configuration([.forever([.out(0x3f8, 0x2e)])], in: folder)),
            console: ConsoleAttachment(console: hub)
        )
        try machine.start()
        var seen: UInt64 = 0
        for _ in 0..<20 {
            try Deadline.wait(for: "output") { hub.byteCount > seen }
            try await machine.pause()
            #expect(machine.phase == .paused)
            seen = hub.byteCount
            let exits = machine.statistics.vcpus
            #expect(machine.statistics.vcpus == exits)
            #expect(hub.byteCount == seen)
            try await machine.resume()
            #expect(machine.phase == .running)
        }
        try await machine.pause()
        try await machine.pause()
        machine.stop()
        #expect(await machine.wait() == .stopped)
        #expect(machine.phase == .ended)
        await #expect(throws: MachineError.notRunning) { try await machine.resume() }
    }

    @Test func `each thread has its name, and prepares itself before the guest runs`() async throws {
        let folder = try TemporaryFolder()
        let prepared = Mutex<Set<String>>([])
        var configuration = try configuration([.read(0x64), .spin], in: folder)
        var disk = Drive("disk", path: try folder.write([UInt8](repeating: 0, count: 4096), to: "disk"))
        disk.engine = .threads
        configuration.drives = [disk]
        let machine = try VirtualMachine(
            .boot(configuration),
            console: ConsoleAttachment(console: try MachineConsole()),
            prepareThread: { name in prepared.withLock { _ = $0.insert(name) } }
        )
        try machine.start()
        try Deadline.wait(for: "the guest to run") { machine.statistics.vcpus[0].portReads > 0 }
        let names = Set(
            ["vcpu 0", "vda", "entropy", "console", "timers", "control"] + (0..<24).map { "vda io \($0)" }
        )
        #expect(prepared.withLock { $0 } == names)
        let shown = threadNames()
        #expect(names.isSubset(of: shown))
        machine.stop()
        #expect(await machine.wait() == .stopped)
    }

    @Test func `a machine that was not started cannot be paused`() async throws {
        let folder = try TemporaryFolder()
        let machine = try VirtualMachine(.boot(configuration([.spin], in: folder)))
        #expect(machine.phase == .notStarted)
        await #expect(throws: MachineError.notRunning) { try await machine.pause() }
        await #expect(throws: MachineError.notRunning) { try await machine.resume() }
    }

    @Test func `exits are counted by their reason, and memory by whose it is`() async throws {
        let folder = try TemporaryFolder()
        let code: [GuestCode] = Array(repeating: .read(0x64), count: 7) + [.out(0x3f8, 0x2e), .exit(0), .spin]
        let machine = try VirtualMachine(.boot(configuration(code, in: folder)))
        try machine.start()
        #expect(await machine.wait() == .exited(0))
        let statistics = machine.statistics
        #expect(statistics.vcpus.count == 1)
        #expect(statistics.vcpus[0].portReads == 7)
        #expect(statistics.vcpus[0].portWrites >= 2)
        #expect(try #require(statistics.guestByteCount) > 0)
        #expect(try #require(statistics.overheadByteCount) > 0)
    }

    @Test func `a kernel that is not there is told before anything is made`() {
        #expect(throws: MachineError.self) {
            try VirtualMachine(.boot(MachineConfiguration(bootSource: BootSource(kernelPath: "/nowhere/kernel"))))
        }
    }

    @Test func `a wrong configuration is refused here as well`() throws {
        let folder = try TemporaryFolder()
        var configuration = try configuration([.spin], in: folder)
        configuration.size.vcpuCount = 33
        let error = ConfigurationError("machine-config.vcpu_count", "must be 1 to 32, not 33")
        #expect(throws: MachineError.configuration(error)) {
            try VirtualMachine(.boot(configuration))
        }
    }

    @Test func `this host's report finds that machines can run`() {
        let report = HostReport()
        #expect(report.isUsable)
        #expect(report.findings.contains { $0.subject == "guest code" && $0.verdict != .bad })
    }

    @Test func `a report without KVM says so and is not usable`() {
        let report = HostReport(path: "/nowhere")
        #expect(!report.isUsable)
        #expect(report.findings.contains { $0.verdict == .bad && $0.detail.contains("modprobe") })
    }
}
