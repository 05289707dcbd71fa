// SPDX-License-Identifier: Apache-2.0

import Martlet
import TestSupport
import Testing

@Suite(.enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"))
struct SnapshotTests {
    private let folder: TemporaryFolder
    private var path: String { "\(folder.path)/snapshot" }

    init() throws {
        folder = try TemporaryFolder()
    }

    @Test func `a machine that counts goes on in another one with the next byte`() async throws {
        let count = 20_000
        let machine = try Machines.machine(
            [.countPolitely(byteCount: count), .echo(byteCount: 1), .exit(7)],
            in: folder
        )
        try await machine.start()
        _ = await machine.console.first(1000)
        try await machine.pause()
        try await machine.save(to: path)
        #expect(machine.state == .paused)
        let sent = Int(machine.console.byteCount)

        let restored = try VirtualMachine(restoring: path)
        #expect(restored.state == .stopped)
        // Readers find the bytes from before the save, which are not sent again.
        #expect(Int(restored.console.byteCount) == sent)
        try await restored.start()
        try await restored.console.write("x")
        let whole = (0..<count).map { UInt8(truncatingIfNeeded: $0) } + Array("x".utf8)
        let isExact = await restored.console.first(whole.count) == whole
        #expect(isExact)
        #expect(await restored.waitUntilStopped() == .exited(7))
        #expect(Int(restored.console.byteCount) == whole.count)

        // And the one that was saved is as it was.
        try await machine.resume()
        try await machine.console.write("y")
        #expect(await machine.waitUntilStopped() == .exited(7))
        #expect(Int(machine.console.byteCount) == count + 1)
    }

    @Test func `a snapshot is replaced only where that is wished`() async throws {
        let machine = try Machines.machine([.spin], in: folder)
        try await machine.start()
        try await machine.save(to: path)
        #expect(machine.state == .running)
        let error = await #expect(throws: MartletError.self) { try await machine.save(to: path) }
        #expect(error?.code == .snapshot)
        try await machine.save(to: path, replacing: true)
        try await machine.stop()
    }

    @Test func `a machine that does not run cannot be saved`() async throws {
        let machine = try Machines.machine([.spin], in: folder)
        let error = await #expect(throws: MartletError.self) { try await machine.save(to: path) }
        #expect(error?.code == .notRunning)
    }

    @Test func `a folder that is no snapshot is refused with its path`() {
        let error = #expect(throws: MartletError.self) { try VirtualMachine(restoring: path) }
        #expect(error?.code == .snapshot)
        #expect(error?.message.contains(path) == true)
    }
}
