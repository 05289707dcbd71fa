// SPDX-License-Identifier: Apache-2.0

import Glibc
import Martlet
import TestSupport
import Testing

/// Each test runs in a process of its own: descriptors and mappings are counted for the whole of it.
@Suite(
    .serialized,
    .enabled(if: HostKVM.isUsable, "\(HostKVM.reason)"),
    .disabled(if: Sanitizer.hasAddress, "the address sanitizer maps memory as large as a guest's")
)
struct ReleaseTests {
    @Test func `machines that have ended and are dropped leave no descriptor, mapping or thread`() async {
        await #expect(processExitsWith: .success) {
            try await ProcessResources.expectNoneLeft { folder in
                let machine = try Machines.machine(withDiskIn: folder, [.write("up"), .echo(byteCount: 1), .exit(1)])
                let watcher = Task { await machine.console.first(.max) }
                try await machine.start()
                try await machine.console.write("x")
                #expect(await machine.waitUntilStopped() == .exited(1))
                #expect(await watcher.value == Array("upx".utf8))
            }
        }
    }

    @Test func `machines that were never started leave nothing when they are dropped`() async {
        await #expect(processExitsWith: .success) {
            try await ProcessResources.expectNoneLeft { folder in
                let machine = try Machines.machine(withDiskIn: folder, [.spin])
                try await machine.console.write("x")
            }
        }
    }

    @Test func `machines that run or are paused are stopped when they are dropped, and leave nothing`() async {
        await #expect(processExitsWith: .success) {
            try await ProcessResources.expectNoneLeft { folder in
                let running = try Machines.machine(withDiskIn: folder, [.forever([.out(0x3f8, 0x2e)])])
                try await running.start()
                _ = await running.console.first(1)
                let paused = try Machines.machine([.spin], in: folder)
                try await paused.start()
                try await paused.pause()
            }
        }
    }

    @Test func `machines whose kernel is refused leave nothing`() async {
        await #expect(processExitsWith: .success) {
            try await ProcessResources.expectNoneLeft { folder in
                var configuration = try Machines.configuration([.spin], in: folder)
                // Found to be missing when all but the vCPUs is made.
                configuration.bootSource?.initrdPath = "/nowhere/ramdisk"
                #expect(throws: MartletError.self) { try VirtualMachine(configuration: configuration) }
            }
        }
    }
}

extension Machines {
    /// A machine with a disk and all else that there can be.
    fileprivate static func machine(withDiskIn folder: TemporaryFolder, _ code: [GuestCode]) throws -> VirtualMachine {
        var configuration = try configuration(code, in: folder)
        configuration.size.vcpuCount = 2
        configuration.drives = [
            Drive("disk", path: try folder.makeSparseFile("disk", byteCount: 1 << 20))
        ]
        return try VirtualMachine(configuration: configuration)
    }
}
